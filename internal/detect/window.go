package detect

// window is a histogram over the engine's bins that holds those from the first
// to the last that was counted: the durations of an operation lie in two or
// three of the eight decades.
type window[T uint32 | float32] struct {
	N     []T
	First int
}

const windowSlack = 2 // bins more on the side to which it grows

// at is the count of a bin, for adding to.
func (w *window[T]) at(bin int) *T {
	if uint(bin-w.First) >= uint(len(w.N)) {
		w.widen(bin)
	}
	return &w.N[bin-w.First]
}

func (w *window[T]) widen(bin int) {
	if len(w.N) == 0 {
		w.First = bin
	}
	first, end := w.First, w.First+len(w.N)
	if bin < first {
		first = max(bin-windowSlack, 0)
	}
	if bin >= end {
		end = min(bin+1+windowSlack, latencyBins)
	}
	n := make([]T, end-first)
	copy(n[w.First-first:], w.N)
	w.N, w.First = n, first
}

// add takes what another counted in.
func (w *window[T]) add(counted *window[T]) {
	for i, n := range counted.N {
		if n != 0 {
			*w.at(counted.First + i) += n
		}
	}
}

// all are the counts of every bin; none of no window.
func (w *window[T]) all() (out [latencyBins]T) {
	if w != nil {
		copy(out[w.First:], w.N)
	}
	return out
}

// fits says whether a window that was read lies within the bins.
func (w *window[T]) fits() bool { return w.First >= 0 && w.First+len(w.N) <= latencyBins }
