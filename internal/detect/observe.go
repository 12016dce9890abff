package detect

import (
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	maxPatternIndicators = 500 // of a watch
	rejoinFor            = 10  // seconds after a restart's first telemetry in which the old cohort is waited for
	trafficFor           = 600 // seconds after readiness in which the whole service's traffic is compared with history
)

// observe takes one second of the service into the watch.
func (w *watch) observe(sec int64, k *scratch) {
	w.pairs, w.touched, w.all = k.pairs, w.touched[:0], pair{}
	defer func() {
		for _, op := range w.touched {
			w.pairs[op] = pair{}
		}
		k.pairs, w.pairs = w.pairs, nil
	}()
	for _, p := range w.hot {
		w.hits[p].sec = [3]float64{}
	}
	w.hot, w.lines, w.heaviest = w.hot[:0], [3]float64{}, 0
	served := 0.
	for i := range k.speakers {
		x := &k.speakers[i]
		c := w.cohortOf(x.source)
		if c == cohortNew || c == cohortOld {
			w.heaviest = max(w.heaviest, float64(x.heaviest))
		}
		switch c {
		case cohortNew:
			w.items += x.items
			w.lost += x.lost
			if x.items > x.lost {
				w.lastItem = sec
			}
			// items are all that came since the last tick, of seconds still open too.
			if w.ready == 0 && x.first != 0 {
				w.ready, w.changed = max(floorSecond(x.first), min(sec, w.started)), true
			}
			w.weights += x.weight
			w.squares += x.squares
			if w.d.ID != "" && !x.source.keepUsers {
				x.source.followUsers()
			}
			if x.weight > 0 && w.speaks(x.source) {
				w.newSources++
			}
		case cohortOld:
			if x.weight > 0 && w.speaks(x.source) {
				w.oldSources++
			}
		case cohortApart:
			if x.items > 0 {
				w.lastApart = sec
			}
		}
	}
	w.unheard = w.ready == 0 && w.deployed(sec)
	for i := range k.samples {
		x := &k.samples[i]
		if !x.aside {
			served += float64(x.cell.n - x.cell.failed)
		}
		c, op := w.cohortOf(x.source), x.op
		if c != cohortNew {
			op = w.renamed(op)
		}
		w.pairs = growTo(w.pairs, max(len(w.pairs), int(op)+1))
		p := &w.pairs[op]
		if p.new.n+p.rest.n == 0 {
			w.touched = append(w.touched, op)
		}
		settled := x.source.settled(sec, w.warmup)
		if c == cohortNew {
			p.new.add(&x.cell, settled)
			if w.fresh != nil {
				w.fresh.add(sec, x.op, &x.cell, settled, x.aside)
			}
		} else {
			p.rest.add(&x.cell, settled)
			if c == cohortOld {
				p.old.add(&x.cell, settled)
			}
		}
		switch {
		case x.aside:
		case c == cohortNew:
			w.all.new.add(&x.cell, settled)
		default:
			w.all.rest.add(&x.cell, settled)
			if c == cohortOld {
				w.all.old.add(&x.cell, settled)
			}
		}
	}
	slices.Sort(w.touched)
	for i := range k.hits {
		x := &k.hits[i]
		c := w.cohortOf(x.source)
		w.hits = growTo(w.hits, max(len(w.hits), int(x.pattern)+1))
		p := &w.hits[x.pattern]
		if p.sec == [3]float64{} {
			w.hot = append(w.hot, x.pattern)
		}
		line := w.service.isLine(x.pattern)
		if c == cohortNew {
			p.sec[1] += x.n
			p.new += x.n
			if p.firstNewAt == 0 {
				p.firstNewAt = sec * second
			}
			if w.fresh != nil {
				w.fresh.addPattern(x.pattern, x.n, line)
			}
			if line {
				w.lines[1] += x.n
			}
			continue
		}
		p.sec[2] += x.n
		if line {
			w.lines[2] += x.n
		}
		if c == cohortOld {
			p.sec[0] += x.n
			p.old += x.n
			if line {
				w.lines[0] += x.n
			}
		}
	}
	slices.Sort(w.hot)
	// Silence is part of the new version's ways, but not after its end.
	if w.fresh != nil && w.ready != 0 && sec-w.lastItem < trafficFor {
		w.fresh.tick(sec, int(w.newSources))
	}
	if w.undo != nil {
		w.undo.observe(w, sec)
	}
	if !w.ended {
		w.step(sec, served)
	}
}

// concurrent says whether the old cohort serves enough to be the control: it
// was not silent for longer than this service's exporters are at times, and
// goes at a twentieth of the new one's pace or more, unless history has nothing.
// After a restart nobody has been heard yet: senders try again after seconds,
// each after its own.
func (w *watch) concurrent(sec int64) bool {
	if w.lastOld == 0 {
		return sec <= w.service.rejoining // what the new version says waits so long for the old one
	}
	silent := sec - 1 - w.lastOld
	if silent > max(60, 2*w.service.stride) || silent > 1+2*w.longestGap() && w.paceOld*float64(silent) > 5 {
		return false
	}
	return w.paceOld >= .05*w.paceNew || w.base.Requests == 0
}

// step gives every indicator its counts of this second.
func (w *watch) step(sec int64, served float64) {
	concurrent := w.concurrent(sec) // from earlier seconds
	n, o := &w.all.new, &w.all.old
	w.newTotal += n.n
	w.oldTotal += o.n
	w.lineTotal += w.lines[1]

	c := counts{xc: n.failed, wc: n.n, xs: o.failed, ws: o.n, heavy: heavier(n, o)}
	w.stepErrors(w.errors, sec, c, concurrent, n.firstFailed)
	w.stepOldCohort(w.errors, sec, c)
	for _, op := range w.touched {
		p := &w.pairs[op]
		if p.new.n+p.old.n == 0 {
			continue
		}
		if w.always && w.byOp[op] == nil {
			continue
		}
		i := w.opIndicators(op)
		c := counts{xc: p.new.failed, wc: p.new.n, xs: p.old.failed, ws: p.old.n, heavy: heavier(&p.new, &p.old)}
		w.stepErrors(i.errors, sec, c, concurrent, p.new.firstFailed)
		w.stepLatency(i.latency, sec, p, concurrent)
	}
	for _, i := range w.indicators {
		if i.signal() != event.SignalThroughput {
			continue
		}
		c := counts{wc: n.settled, ws: o.settled, heavy: w.heaviest}
		switch {
		case i.op >= 0:
			if int(i.op) < len(w.pairs) {
				c.xc, c.xs = w.pairs[i.op].new.settled, w.pairs[i.op].old.settled
			}
		case i.pattern >= 0:
			if int(i.pattern) < len(w.hits) {
				c.xc, c.xs = w.hits[i.pattern].sec[1], w.hits[i.pattern].sec[0]
			}
			c.wc, c.ws = n.n, o.n
			if !w.warm(sec) {
				c = counts{}
			}
		default:
			w.stepTraffic(i, sec, served)
			continue
		}
		i.step(w, &i.levels[0], sec, c, concurrent)
	}
	w.stepPatterns(sec, concurrent)

	if n.n > 0 {
		w.lastNew = sec
		w.stretches.spoke(sec)
	}
	if o.n > 0 {
		if w.lastOld != 0 && w.concurrent(sec) {
			w.gap = max(w.gap, sec-1-w.lastOld)
		}
		w.lastOld = sec
	}
	keep := 1 - 1/math.Max(30, 3*float64(w.service.stride))
	w.paceNew = keep*w.paceNew + (1-keep)*n.n
	w.paceOld = keep*w.paceOld + (1-keep)*o.n
}

// heavier is the largest weight of a request in either cohort.
func heavier(a, b *seconds) float64 { return math.Max(a.heaviest, b.heaviest) }

// warm says whether the new cohort as a whole is past its warm-up.
func (w *watch) warm(sec int64) bool {
	return w.ready != 0 && sec-w.ready >= w.warmup
}

func (w *watch) stepErrors(i *indicator, sec int64, c counts, concurrent bool, firstFailed int64) {
	l := &i.levels[0]
	if tested, ok := i.step(w, l, sec, c, concurrent); ok && l.opt().tol != nil {
		l.tolerate(tested, errorTolerance, errorRise, concurrent)
	}
	if i.firstBad == 0 && firstFailed != 0 {
		i.firstBad = firstFailed
	}
}

func (w *watch) stepLatency(i *indicator, sec int64, p *pair, concurrent bool) {
	if i.test == nil || sec < int64(i.started) || w.operationAt(i.op).test.Load() != i.test {
		return // none, or given up for another
	}
	q95 := p.old.over(i.test.q95)
	for k := range i.levels {
		l := &i.levels[k]
		c := counts{xc: p.new.over(k), wc: p.new.timed, xs: p.old.over(k), ws: p.old.timed, heavy: heavier(&p.new, &p.old)}
		if l.opt().tol != nil && !l.complement {
			// Healthy means that q95 did not rise by a quarter: the new
			// cohort's share beyond 1.25 times the bound is below the control's
			// beyond the bound itself.
			t := counts{xc: c.xc, wc: c.wc, xs: q95, ws: c.ws}
			w.tolerateLatency(i, l, t, concurrent)
		}
		if k == i.test.q95 {
			w.stepOldCohort(i, sec, c)
		}
		if l.complement {
			c.xc, c.xs = c.wc-c.xc, c.ws-c.xs
		}
		if i.firstBad == 0 && k == i.test.q95 && c.xc > 0 {
			i.firstBad = sec * second
		}
		i.step(w, l, sec, c, concurrent)
	}
}

// tolerateLatency asks whether q95 rose by a quarter: whether the new cohort's
// share beyond 1.25 times the bound is as high as the control's beyond the bound
// itself, or is a twentieth.
func (w *watch) tolerateLatency(i *indicator, l *level, c counts, concurrent bool) {
	c, ok := l.opt().tol.pend.pair(c, concurrent)
	if !ok {
		return
	}
	var logs [cells]float64
	rateLogs(c.xc, c.wc, .05, 1, lower, &logs)
	l.opt().tol.rise.step(&logs)
	w.recordOf(i, l, 0).riseBound(c, .05)
	base := &i.levels[i.test.q95]
	switch {
	case concurrent:
		pairLogs(c, 1, lower, &logs)
		l.opt().rec.ratioPaired(c, 1)
	case !base.complement && base.lower > 0:
		rateLogs(c.xc, c.wc, float64(base.lower), 1, lower, &logs)
		l.opt().rec.ratioBound(c, float64(base.lower))
	default:
		return
	}
	l.opt().tol.ratio.step(&logs)
}

// stepTraffic compares the whole service's successes a second, whoever serves
// them, with history: only while the new version says something (when all are
// silent, load ended or telemetry is missing, which is no proof of harm), and
// only for ten minutes, for a day has its own course. What another deployment's
// instances serve, or lose, is not told apart.
func (w *watch) stepTraffic(i *indicator, sec int64, served float64) {
	l := &i.levels[0]
	if w.unheard {
		w.stepUnheard(i, sec)
		return
	}
	if w.mixed() || !w.warm(sec) || sec-w.ready > trafficFor || sec-w.lastItem > 1+2*w.longestGap() || l.base.Exposure < 60 || l.base.Events < 60 {
		w.held = counts{}
		return
	}
	w.usual, _ = w.service.week.pace(w.opened, sec)
	c := counts{xc: served, wc: w.usual, heavy: w.heaviest}
	if len(w.peers) > 0 {
		w.besidePeers(i, sec, c)
		return
	}
	w.hold(i, sec, c)
}

// hold tests the traffic of a second, or of three reports where metrics tell.
func (w *watch) hold(i *indicator, sec int64, c counts) {
	c.ws = 1 // of seconds, till it is tested
	w.held.add(c)
	// Metrics come in lumps, one an interval and instance.
	if stride := w.service.stride; stride > 1 && w.held.ws < float64(3*stride) {
		return
	}
	c = w.held
	c.ws = 0
	i.step(w, &i.levels[0], sec, c, false)
	w.held = counts{}
}

// longestGap is the longest silence, in seconds, that is this service's way.
func (w *watch) longestGap() int64 { return max(w.gap, w.service.stride) }

// convict is the indicator that proved the harm. It leads for good: evidence
// fades once the harm is over, and what leads then proved nothing.
func (w *watch) convict(was *indicator) *indicator {
	if was != nil || w.undo == nil {
		return was
	}
	for k := range w.undo.parts { // after a restart
		if i := w.undo.parts[k].i; was == nil || i.nats > was.nats {
			was = i
		}
	}
	return was
}

// stepPatterns gives exceptions and log templates their counts.
func (w *watch) stepPatterns(sec int64, concurrent bool) {
	n, o := w.all.new.n, w.all.old.n
	if w.newTotal+w.base.Requests == 0 {
		n, o = w.lines[1], w.lines[0]
	}
	for _, index := range w.hot {
		p := &w.hits[index]
		if index == otherIndex || p.sec[1] == 0 || w.ofPattern(index) != nil || w.counts[classNovelty] >= w.mostPatterns() {
			continue
		}
		known := w.patternAt(index)
		if !known.harm {
			continue
		}
		i := w.newIndicator(known.kind, -1, index, classNovelty)
		i.firstBad = p.firstNewAt
		if known.firstAt >= (sec-1)*second {
			i.firstBad = known.firstAt
		}
		w.filePattern(i)
		if !i.firstEver || p.old > 0 {
			// That it is looked at from now on was chosen by its first
			// occurrence, which must not count as evidence then.
			i.firstEver = false
			i.started = uint32(sec + 1)
		}
	}
	for _, i := range w.indicators {
		if i.pattern < 0 || i.signal() == event.SignalThroughput || sec < int64(i.started) {
			continue
		}
		s := w.hits[i.pattern].sec
		i.step(w, &i.levels[0], sec, counts{xc: s[1], wc: n, xs: s[0], ws: o, heavy: w.heaviest}, concurrent)
	}
}

// weighAll brings the deployment's evidence up to date: the weighted mean of
// its indicators' E, which is an e-process whatever their dependence.
func (w *watch) weighAll(sec int64) {
	sum, left := 0., 1-w.forgone
	was := w.leader
	w.leader = nil
	top, most := math.Inf(-1), 0.
	for _, i := range w.indicators {
		if len(i.levels) == 0 || i.cleared {
			continue
		}
		i.weigh(w, sec)
		if w.always {
			i.weighExcursion()
		}
		share := float64(i.share)
		left -= share
		e := share * math.Exp(min(i.nats, maxLog))
		sum += e
		if e < most && i.nats < maxLog {
			continue // none to lead
		}
		most = e
		if part := i.nats + math.Log(share); part > top {
			top, w.leader = part, i
		}
	}
	if w.state == event.Regressed {
		w.leader = w.convict(was)
	}
	before := w.nats
	w.nats = math.Log(sum + math.Max(left, 0))
	w.peak = math.Max(w.peak, w.nats)
	w.slope = .9*w.slope + .1*(w.nats-before)
}
