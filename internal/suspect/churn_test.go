package suspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// lines are n different lines of code.
func lines(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("	%s%d := compute(%d)", prefix, i, i))
	}
	return list
}

const panicText = `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48]

goroutine 7 [running]:
github.com/acme/shop/cart.(*Cart).Total(...)
	/app/cart/total.go:42 +0x1c
created by github.com/acme/shop/cart.Start in goroutine 1
	/app/cart/start.go:9 +0x5
`

// A large change of the same file, near the line, does not outdo the small one
// that changed the very line at the top of the trace.
func TestAnExactLineOutdoesChurn(t *testing.T) {
	small := commit("e", "Round totals", edit("cart/total.go", 42, []string{"	return total"}, []string{"	return *total"}))
	large := commit("d", "Start carts by the engine's run of signals", edit("cart/total.go", 200, lines("a", 40), lines("b", 200)),
		edit("cart/start.go", 100, lines("c", 10), lines("d", 260)), edit("engine/tick.go", 1, nil, lines("e", 300)))
	commits := append(noise(8), small, large)
	got := Rank(Symptom{Text: panicText}, commits, Options{})
	require.Equal(t, small.Revision, got.Suspects[0].Change.Revision, "%+v", got.Suspects[:2])
	for _, s := range got.Suspects {
		if s.Change.Revision == large.Revision {
			require.Contains(t, strings.Join(s.Reasons, "; "), "changed more code than most of the range: 810 lines in 3 files")
		}
	}
}

// What a runtime says of any crash is no word of this error.
func TestRuntimeTextsAreNoWords(t *testing.T) {
	q := newQuery(Symptom{Text: panicText}, Options{})
	require.ElementsMatch(t, []string{"cart", "total"}, keysOf(q.words))
	q = newQuery(Symptom{Text: "panic: voucher table is empty\n"}, Options{})
	require.ElementsMatch(t, []string{"vouch", "tabl", "empty"}, keysOf(q.words), "the program's own words stay, as stems")
	require.Equal(t, "OrderException: voucher gone", strings.TrimSpace(plainMessage("Caused by: com.acme.orders.OrderException: voucher gone")))
}

func keysOf(words map[string]float64) (list []string) {
	for w := range words {
		list = append(list, w)
	}
	return list
}

// Code that only moved was not written: it is no churn, and a commit of nothing
// else is a cosmetic one.
func TestMovedLinesAreNoChurn(t *testing.T) {
	body := lines("a", 60)
	moved := commit("c", "Give totals a file of their own",
		edit("cart/cart.go", 30, append([]string{"import (", ")"}, body...), nil),
		edit("cart/total.go", 1, nil, append([]string{"package cart", "import (", ")"}, body...)))
	written := commit("e", "Count vouchers", edit("cart/voucher.go", 1, nil, lines("b", 60)))
	commits := append(noise(4), moved, written)
	all := weigh(newQuery(Symptom{Text: "x"}, Options{}), commits, Options{})
	require.Zero(t, all[4].codeLines)
	require.Zero(t, all[4].Vector[featChurn])
	require.EqualValues(t, 1, all[4].Vector[featCosmetic])
	require.Equal(t, 60, all[5].codeLines)
	require.Zero(t, all[5].Vector[featCosmetic])
	half := commit("b", "x", edit("a.go", 1, body[:30], append(body[:30:30], lines("z", 30)...)))
	require.Equal(t, 30, weigh(newQuery(Symptom{Text: "x"}, Options{}), []Commit{half}, Options{})[0].codeLines)
}

// The hunk that is shown of a file is not its imports.
func TestHunkShownIsNotImports(t *testing.T) {
	f := FileDiff{Path: "cart/total.go", Added: 2, Hunks: []Hunk{
		{NewStart: 3, NewLines: 1, Added: []string{`	"strings"`}, Text: "imports"},
		{NewStart: 300, NewLines: 1, Added: []string{"	total := sum(x)"}, Text: "code"},
	}}
	got := top(t, Symptom{Errors: []event.RelatedError{{Signal: event.SignalException, Type: "panic",
		Frames: []event.Frame{{File: "/app/cart/total.go", Line: 42, Function: "Total"}}}}}, append(noise(3), commit("e", "x", f)), Options{})
	require.Equal(t, "code", got.Hunk)
	require.Equal(t, 300, got.Line)
}

// Nor does a large change of the very line of a caller: the deeper a frame, the
// less its line tells.
func TestTheTopFrameOutdoesACaller(t *testing.T) {
	trace := strings.Replace(panicText, "created by", "github.com/acme/shop/checkout.Handle(...)\n\t/app/checkout/handle.go:88 +0x31\ncreated by", 1)
	small := commit("e", "Round totals", edit("cart/total.go", 42, []string{"	return total"}, []string{"	return *total"}))
	caller := commit("d", "Handle orders by queue", edit("checkout/handle.go", 60, lines("a", 40), lines("b", 200)),
		edit("checkout/queue.go", 1, nil, lines("c", 300)), edit("checkout/worker.go", 1, nil, lines("d", 300)))
	got := Rank(Symptom{Text: trace}, append(noise(8), small, caller), Options{})
	require.Equal(t, small.Revision, got.Suspects[0].Change.Revision, "%+v", got.Suspects[:2])
	require.Equal(t, caller.Revision, got.Suspects[1].Change.Revision)
}
