package detect

import "math"

// numbers walks through the plain numbers of the engine's types, in one order
// for writing and reading.
type numbers struct {
	list    []float64
	reading bool
	short   bool // there were fewer than needed, or such as never were written
}

func (n *numbers) float(x *float64) {
	if !n.reading {
		n.list = append(n.list, *x)
		return
	}
	if len(n.list) == 0 {
		n.short = true
		return
	}
	*x, n.list = n.list[0], n.list[1:]
}

func (n *numbers) float32(x *float32) {
	f := float64(*x)
	n.float(&f)
	if n.reading {
		*x = float32(f)
	}
}

func (n *numbers) int64(x *int64) {
	f := math.Float64frombits(uint64(*x))
	n.float(&f)
	if n.reading { // written things may be shared with the hot path
		*x = int64(math.Float64bits(f))
	}
}

// whole is a smaller whole number, kept as an int64.
func whole[T int16 | int32 | uint32 | int | uint16 | uint8](n *numbers, x *T) {
	v := int64(*x)
	n.int64(&v)
	if n.reading { // written things may be shared with the hot path
		*x = T(v)
	}
}

func (n *numbers) int32(x *int32) { whole(n, x) }

func (n *numbers) int(x *int) { whole(n, x) }

func (n *numbers) uint16(x *uint16) { whole(n, x) }

func (n *numbers) uint8(x *uint8) { whole(n, x) }

func (n *numbers) bool(x *bool) {
	v := int64(0)
	if *x {
		v = 1
	}
	n.int64(&v)
	if n.reading {
		*x = v != 0
	}
}

func (n *numbers) uint64(x *uint64) {
	v := int64(*x)
	n.int64(&v)
	if n.reading {
		*x = uint64(v)
	}
}

func (c *counts) walk(n *numbers) {
	for _, x := range []*float64{&c.xc, &c.wc, &c.xs, &c.ws, &c.wh, &c.eh, &c.heavy} {
		n.float(x)
	}
}

func (c *sums) walk(n *numbers) {
	for _, x := range []*float32{&c.xc, &c.wc, &c.xs, &c.ws} {
		n.float32(x)
	}
}

func (p *product) walk(n *numbers) {
	n.int32(&p.ticks)
	told := p.logs != nil
	if n.bool(&told); !told {
		return
	}
	if n.reading {
		p.logs = new([cells]float64)
	}
	for i := range p.logs {
		n.float(&p.logs[i])
	}
}

func (p *process) walk(n *numbers) {
	whole(n, &p.first)
	n.int32(&p.ticks)
	whole(n, &p.scale)
	p.scale = max(p.scale, 0)
	heard := p.told != nil
	if n.bool(&heard); !heard {
		return
	}
	if n.reading {
		p.told = &told{}
	}
	for k := range p.told.r {
		n.float(&p.told.r[k])
		if n.reading && !(p.told.r[k] >= 0 && p.told.r[k] <= 2*highR) {
			n.short = true // no R: it would not come within a float's range
		}
	}
	beside := p.told.asides != nil
	n.bool(&beside)
	if n.reading && beside {
		p.told.asides = new([trackers]aside)
	}
	for k := range p.told.trackers {
		t := &p.told.trackers[k]
		n.float32(&t.gain)
		n.int32(&t.at)
		n.int32(&t.tick)
		n.uint16(&t.latest)
		t.since.walk(n)
		t.ladder.walk(n)
		if beside {
			for _, y := range []*float32{&p.told.asides[k].wh, &p.told.asides[k].eh, &p.told.asides[k].heavy} {
				n.float32(y)
			}
		}
	}
}

func (l *ladder) walk(n *numbers) {
	n.int32(&l.last)
	n.float32(&l.fell)
	for k := range l.seconds {
		n.uint16(&l.seconds[k])
		n.uint8(&l.falls[k])
	}
}

func (l *level) walk(n *numbers) {
	down := bool(l.side)
	n.bool(&down)
	l.side = side(down)
	n.bool(&l.complement)
	n.float32(&l.persist)
	n.float32(&l.margin)
	if l.opt().past != nil {
		for k := range l.opt().past {
			n.float(&l.opt().past[k])
		}
	}
	if l.opt().held != nil {
		l.opt().held.pend.walk(n)
		l.opt().held.untested.walk(n)
	}
	wh, eh := l.opt().wh, l.opt().eh
	n.float(&wh)
	n.float(&eh)
	if n.reading && (wh != 0 || eh != 0) {
		l.with().wh, l.with().eh = wh, eh
	}
	n.float(&l.base.Events)
	n.float(&l.base.Exposure)
	n.float32(&l.upper)
	n.float32(&l.lower)
	for _, x := range []*float64{&l.total.xc, &l.total.wc, &l.total.xs, &l.total.ws} {
		n.float(x)
	}
	l.harm.walk(n)
	if l.opt().tol != nil {
		l.opt().tol.ratio.walk(n)
		l.opt().tol.rise.walk(n)
		l.opt().tol.pend.walk(n)
	}
	if l.opt().better != nil {
		l.opt().better.walk(n)
	}
}

// has tells which of its optional parts a level has, a bit each; have makes them.
func (l *level) has() (parts uint8) {
	for bit, there := range []bool{l.opt().tol != nil, l.opt().better != nil, l.opt().past != nil, l.opt().held != nil} {
		if there {
			parts |= 1 << bit
		}
	}
	return parts
}

func (l *level) have(parts uint8) {
	if parts&1 != 0 {
		l.with().tol = &tolerance{}
	}
	if parts&2 != 0 {
		l.with().better = &product{}
	}
	if parts&4 != 0 {
		l.with().past = &spread{}
	}
	if parts&8 != 0 {
		l.with().held = &held{}
	}
}

func (i *indicator) walk(n *numbers) {
	n.float32(&i.share)
	n.float32(&i.phi)
	n.float(&i.nats)
	down := bool(i.side)
	n.bool(&down)
	i.side = side(down)
	n.bool(&i.firstEver)
	n.bool(&i.cleared)
	n.int64(&i.firstBad)
	whole(n, &i.started)
	n.uint8(&i.best)
	n.uint8((*uint8)(&i.sway))
	i.sway = min(i.sway, vanishing)
	carry, slice := i.opt().carry, i.opt().slice
	n.float(&carry)
	n.float(&slice)
	if n.reading && (carry != 0 || slice != 0) {
		i.with().carry, i.with().slice = carry, slice
	}
	i.best = min(i.best, uint8(max(len(i.levels)-1, 0)))
	if i.test != nil {
		for k := range i.test.bounds {
			v := int32(i.test.bounds[k])
			n.int32(&v)
			if n.reading {
				i.test.bounds[k] = int16(min(max(v, 0), latencyBins-2))
			}
			n.float(&i.test.tail[k])
		}
		n.int(&i.test.n)
		n.int(&i.test.q95)
		n.int(&i.test.limit)
	}
	for k := range i.levels {
		i.levels[k].walk(n)
	}
	if i.opt().old != nil {
		i.opt().old.walk(n)
		i.opt().now.walk(n)
	}
}

func (w *watch) walk(n *numbers) {
	for _, x := range []*int64{&w.opened, &w.started, &w.ready, &w.endedAt, &w.lastNew, &w.lastOld, &w.lastItem, &w.gap, &w.regressedAt, &w.healthyAt} {
		n.int64(x)
	}
	for _, x := range []*float64{&w.newSources, &w.oldSources, &w.paceNew, &w.paceOld, &w.weights, &w.squares, &w.newTotal, &w.oldTotal, &w.lineTotal, &w.nats, &w.peak, &w.slope, &w.forgone} {
		n.float(x)
	}
	n.uint64(&w.items)
	n.uint64(&w.lost)
	n.bool(&w.ended)
	for i := range w.counts {
		n.int(&w.counts[i])
	}
	if w.undo == nil {
		return
	}
	n.int64(&w.undo.since)
	n.bool(&w.undo.gone)
	n.bool(&w.undo.serving)
	n.float(&w.undo.pace)
	for k := range w.undo.parts {
		p := &w.undo.parts[k]
		if p.i.opt().gauge != nil {
			continue // learnt anew, see save
		}
		n.int(&p.level)
		p.level = min(max(p.level, 0), len(p.i.levels)-1)
		n.float(&p.bound)
		up := !bool(p.side)
		n.bool(&up)
		p.side = side(!up)
		p.recent.walk(n)
		p.process.walk(n)
	}
}
