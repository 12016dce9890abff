package detect

// window is a histogram over the engine's bins that holds those from the first
// to the last that was counted: the durations of an operation lie in two or
// three of the eight decades.
type window[T uint32 | float32] struct {
	n     []T
	first int
}

const windowSlack = 2 // bins more on the side to which it grows

// at is the count of a bin, for adding to.
func (w *window[T]) at(bin int) *T {
	if uint(bin-w.first) >= uint(len(w.n)) {
		w.widen(bin)
	}
	return &w.n[bin-w.first]
}

func (w *window[T]) widen(bin int) {
	if len(w.n) == 0 {
		w.first = bin
	}
	first, end := w.first, w.first+len(w.n)
	if bin < first {
		first = max(bin-windowSlack, 0)
	}
	if bin >= end {
		end = min(bin+1+windowSlack, latencyBins)
	}
	n := make([]T, end-first)
	copy(n[w.first-first:], w.n)
	w.n, w.first = n, first
}
