package detect

// setTests fixes the latency bounds of operations that have none yet, from
// history or, without one, from the old cohort.
func (w *watch) setTests(sec int64) {
	if w.young {
		return // it looks at errors alone
	}
	const enough = 200
	for _, o := range w.service.operations() {
		t, layout := o.test.Load(), o.layout.Load()
		if t != nil && layout != nil && !layout.holds(t) {
			o.test.Store(nil)
			t = nil
		}
		if t == nil {
			var from *window[float32]
			if int(o.index) < len(w.base.Ops) {
				from = w.base.Ops[o.index].Sketch
			}
			if from == nil && int(o.index) < len(w.olds) {
				from = w.olds[o.index]
			}
			if from == nil {
				continue
			}
			total := 0.
			for _, n := range from.N {
				total += float64(n)
			}
			if total < enough {
				continue
			}
			made, ok := newLatencyTest(from.all(), layout)
			if !ok {
				continue
			}
			t = made
			o.test.Store(t)
		}
		if w.byOp[o.index] != nil || !w.always && int(o.index) < len(w.base.Ops) && w.base.Ops[o.index].N > 0 {
			w.setTest(w.opIndicators(o.index).latency, t, sec)
		}
	}
}

func (w *watch) setTest(i *indicator, t *latencyTest, sec int64) {
	if i.test == t {
		return
	}
	w.followOld(i)
	i.test, i.started = t, uint32(sec+slots) // seconds open now hold requests that were not classed
	i.levels = make([]level, t.n)
	for k := range i.levels {
		l := &i.levels[k]
		var x, n float64
		var past spread
		if int(i.op) < len(w.base.Ops) {
			x, n = w.base.Ops[i.op].beyond(t.bounds[k])
			if slow := w.base.Ops[i.op].Slow; slow != nil {
				past = slow.near(t.tail[k])
			}
		}
		if t.tail[k] > complementFrom {
			l.complement, l.side, x, past = true, lower, n-x, past.complemented(t.tail[k])
		}
		l.margin = float32(w.minRatio)
		f := w.instanceSpread(i.op, t.bounds[k], t.tail[k], l.complement)
		l.persist = float32(f.spread())
		w.keepFellows(i, k, f)
		l.setBase(x, n, i.noise(), w.base.Seconds, w.alpha, past)
		if k == t.limit && w.mayBeCritical(i.op) {
			l.with().tol = &tolerance{}
		}
		if k == t.q95 {
			l.with().better = &product{}
		}
	}
}

// addSketch gathers the old cohort's latencies while history has none, and where
// callers do not tell it from the new one.
func (w *watch) addSketch(sec int64, s *Source, op int32, k *sketch) {
	switch w.cohortOf(s) {
	case cohortNew:
		if w.fresh != nil {
			w.fresh.addSketch(sec, op, k)
		}
	case cohortOld:
		if w.ended || int(op) < len(w.base.Ops) && w.base.Ops[op].Sketch != nil && !(w.callers && w.warm(sec)) {
			return // with callers, of the time in which the new one's are gathered
		}
		w.olds = growTo(w.olds, max(len(w.olds), int(op)+1))
		if w.olds[op] == nil {
			w.olds[op] = new(window[float32])
		}
		k.addTo(w.olds[op])
	}
}
