package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// With -coverpkg each test binary tells every block: one counts once, and was run where
// any of them ran it.
func TestBlocksThatAreToldAgain(t *testing.T) {
	items, _, err := all(t, GoCover, "mode: count\na.go:1.1,2.2 3 0\na.go:4.1,5.2 2 7\na.go:1.1,2.2 3 1\na.go:4.1,5.2 2 0\nb.go:1.1,2.2 4 0\na.go:1.1,2.2 3 0\na.go:1.1,2.2 3 2\nb.go:1.1,2.2 4 0\n")
	require.NoError(t, err)
	require.Len(t, items, 2)
	require.Equal(t, Coverage{File: "a.go", Covered: 5, Total: 5, Unit: "statements"}, *items[0].Coverage)
	require.Equal(t, Coverage{File: "b.go", Covered: 0, Total: 4, Unit: "statements"}, *items[1].Coverage)
}

func TestBlockSet(t *testing.T) {
	var set blockSet
	for round := range 2 {
		for i := range uint64(5000) {
			at, isNew := set.slot(i<<40|i<<1, 5000) // many share the slot where they begin
			require.Equal(t, round == 0, isNew)
			if round == 0 {
				*at |= i & 1
			} else {
				require.Equal(t, i&1, *at&1)
			}
		}
	}
	at, isNew := set.slot(1<<60, 5000)
	require.Nil(t, at)
	require.True(t, isNew)
}
