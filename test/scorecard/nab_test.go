package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumentaScore(t *testing.T) {
	windows := [][2]int{{200, 299}, {500, 599}}
	perfect, found, wrong := nabScore([]int{200, 500}, windows, 1000)
	require.InDelta(t, 2, perfect, 1e-9)
	require.Equal(t, [2]int{2, 0}, [2]int{found, wrong})

	silent, found, wrong := nabScore(nil, windows, 1000)
	require.InDelta(t, -2, silent, 1e-9)
	require.Equal(t, [2]int{0, 0}, [2]int{found, wrong})

	late, _, _ := nabScore([]int{290, 500}, windows, 1000)
	require.Less(t, late, perfect)
	require.Greater(t, late, 0.)

	once, _, _ := nabScore([]int{200, 210, 500}, windows, 1000)
	require.InDelta(t, perfect, once, 1e-9, "a second alarm in a window counts nothing")

	early, _, wrong := nabScore([]int{160, 200, 500}, windows, 1000)
	require.InDelta(t, perfect-.11, early, 1e-9)
	require.Equal(t, 1, wrong)

	learning, _, wrong := nabScore([]int{10, 200, 500}, windows, 1000)
	require.InDelta(t, perfect, learning, 1e-9)
	require.Zero(t, wrong)
}

// A silence counts as one only if the samples were heard.
func TestNumentaSamplesAreHeard(t *testing.T) {
	_, err := nabAlarms([]float64{1, 2, 3, 4})
	require.NoError(t, err)
	_, err = nabAlarms([]float64{1, math.NaN()})
	require.ErrorContains(t, err, "invalid_gauge")
}
