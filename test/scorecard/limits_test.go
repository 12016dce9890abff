package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The limit follows from the divergence: α's nats divided by the nats a second.
func TestLimitIsThatOfTheDivergence(t *testing.T) {
	divergence := .03*math.Log(3) + .97*math.Log(.97/.99)
	sum, n := 0., 2000
	for i := range n {
		d, _ := limitOf(uint64(i), canary, faults[0])
		sum += d - lateness
	}
	wald := -math.Log(limitAlpha) / (divergence * canary.newRate)
	require.GreaterOrEqual(t, sum/float64(n), wald-.05)
	require.LessOrEqual(t, sum/float64(n), wald+2, "overshoot and whole seconds")

	// Who knows less is later.
	for seed := range uint64(20) {
		require.LessOrEqual(t, pairedLimit(seed, canary, faults[0], watchSeconds, 6.9), pairedLimit(seed, canary, faults[0], watchSeconds, callNats))
	}
	first, onset := limitOf(1, tenNew, thrown)
	require.LessOrEqual(t, first, 3.)
	require.LessOrEqual(t, onset, 2.)
	// Without harm its test is as seldom wrong as it says.
	wrong := 0
	for i := range n {
		rng, evidence := rand.New(rand.NewPCG(uint64(i), 1)), 0.
		for range 300 {
			if evidence += shareLLR(rng, canary.newRate, canary.errors, canary.errors, .03); evidence >= -math.Log(limitAlpha) {
				wrong++
				break
			}
		}
	}
	require.LessOrEqual(t, wrong, 7, "of 2000, two are due")
}
