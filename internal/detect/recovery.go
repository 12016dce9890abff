package detect

import (
	"fmt"
	"math"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// undoing follows a regressed deployment till its harm is gone: for each
// indicator that showed harm, the e-process against "it is still worse than
// tolerated", on the traffic that serves now, with the control as it stood at
// the verdict. It is a mixture over starts, so it needs not know when the
// rollback came.
type undoing struct {
	parts []undonePart
	since int64 // second in which all parts were back, 0: not yet
	gone  bool

	heard   stretches // of those who are asked
	serving bool      // the new cohort serves
	pace    float64   // requests a second of the new cohort before the verdict
}

type undonePart struct {
	i       *indicator
	level   int
	bound   float64 // the rate at which it is still bad
	side    side    // of "back to normal"
	recent  counts  // of the last minute or so
	process process

	// Of a gauge: whose samples are asked, and when the new cohort last sent one.
	fromNew bool
	newAt   int64
}

const (
	recoverNats = 3.0 // ln 20
	minRecovery = 10  // seconds of it
)

func newUndoing(w *watch) *undoing {
	u := &undoing{pace: w.paceNew, serving: true}
	bar := math.Log(float64(max(1, len(w.indicators)))/listFDR) + w.looks()
	for _, i := range w.indicators {
		if len(i.levels) == 0 || i.cleared || i.onlyShown() || i != w.leader && i.nats < bar || i == w.leader && w.excursion != nil || len(u.parts) >= 16 {
			continue
		}
		l := &i.levels[i.best]
		// Normal is what the control's rate may be: a short history knows it too
		// badly for its estimate to be asked for.
		rate := l.controlRate()
		p := rate
		if up := l.controlBound(l.side != lower); !math.IsInf(up, 1) {
			p = up
		}
		bad := rate
		if win := l.harm.window(); win.wc > 0 {
			bad = win.xc / win.wc
		}
		part := undonePart{i: i, level: int(i.best), side: lower, fromNew: true, newAt: w.lastItem}
		switch {
		case l.side == lower:
			part.side, part.bound = upper, math.Max((p+bad)/2, p/2)
		case i.signal() == event.SignalLatency:
			part.bound = math.Min(math.Max(1.25*p, p+.05), (rate+bad)/2)
		default:
			part.bound = math.Min(math.Max(errorTolerance*p, p+errorRise), (rate+bad)/2)
		}
		u.parts = append(u.parts, part)
	}
	return u
}

// observe counts one second of the traffic that serves: the new cohort's while
// it served in the last quarter minute, else everybody else's.
func (u *undoing) observe(w *watch, sec int64) {
	serving := sec-w.lastServed(sec) <= max(15, 2*w.service.stride)
	all, pick := &w.all.rest, func(p *pair) *seconds { return &p.rest }
	lines := 2
	if serving {
		all, pick, lines = &w.all.new, func(p *pair) *seconds { return &p.new }, 1
	}
	if serving != u.serving {
		// Another population: what is asked starts anew.
		u.serving, u.heard = serving, nil
		for k := range u.parts {
			u.parts[k].process, u.parts[k].recent = process{}, counts{}
		}
	}
	if all.n > 0 {
		u.heard.spoke(sec)
	}
	u.gone = !serving && u.pace*float64(sec-w.lastServed(sec)) > 5
	if u.pace == 0 && w.newTotal == 0 { // it speaks through gauges alone
		u.gone = sec-max(w.lastItem, w.opened) > gaugeConcurrent
	}
	back := len(u.parts) > 0
	for k := range u.parts {
		part := &u.parts[k]
		i := part.i
		var x, n float64
		heavy := all.heaviest
		switch {
		case i.opt().gauge != nil: // see observeGauges
		case i.signal() == event.SignalThroughput && i.op < 0 && i.pattern < 0:
			x, n = w.all.new.n-w.all.new.failed+w.all.rest.n-w.all.rest.failed, 1
		case i.pattern >= 0:
			if int(i.pattern) < len(w.hits) {
				x = w.hits[i.pattern].sec[lines]
			}
			heavy = w.heaviest
			n = all.n
			if w.newTotal+w.base.Requests == 0 {
				n = w.lines[lines]
			}
		case i.op >= 0:
			if int(i.op) >= len(w.pairs) {
				break
			}
			s := pick(&w.pairs[i.op])
			if i.aside == AsideCaller { // sees whoever serves
				if s = &w.pairs[i.op].new; s.n == 0 {
					s = &w.pairs[i.op].rest // others serve beside it, see mixed
				}
			}
			switch i.signal() {
			case event.SignalThroughput:
				x, n = s.n, all.n
			case event.SignalLatency:
				x, n = s.over(part.level), s.timed
				if i.levels[part.level].complement {
					x = n - x
				}
			default:
				x, n = s.failed, s.n
			}
		default:
			x, n = all.failed, all.n
		}
		if n > 0 {
			part.count(sec, x, n, heavy)
		}
		if part.process.ticks == 0 || !part.back(w, sec) {
			back = false
		}
	}
	if back && u.since == 0 {
		u.since, w.changed = sec, true
	}
}

// count takes one second of what is asked for.
func (p *undonePart) count(sec int64, x, n, heavy float64) {
	var logs [cells]float64
	rateLogs(x, n, p.bound, 1, p.side, &logs)
	p.process.step(&logs, sec, counts{xc: x, wc: n, wh: n, eh: p.bound * n, heavy: heavy})
	const keep = 1 - 1./60
	p.recent = counts{xc: keep*p.recent.xc + x, wc: keep*p.recent.wc + n}
}

// observeGauges counts one second's samples: those of the new cohort while it
// sends the gauge, else everybody else's; what callers see is all one.
func (u *undoing) observeGauges(w *watch, sec int64, samples []gaugeSample) {
	for k := range u.parts {
		p := &u.parts[k]
		if p.i.opt().gauge == nil {
			continue
		}
		var seen [2][]float64 // of the others, of the new cohort
		for _, s := range samples {
			if s.gauge != p.i.opt().gauge.gauge {
				continue
			}
			whose := 0
			if s.gauge.key.client != "" || w.cohortOf(s.source) == cohortNew {
				whose, p.newAt = 1, sec
			}
			seen[whose] = append(seen[whose], s.value)
		}
		fromNew, values := sec-p.newAt <= gaugeConcurrent, seen[0]
		if fromNew {
			values = seen[1]
		}
		if fromNew != p.fromNew {
			p.fromNew, p.process, p.recent = fromNew, process{}, counts{}
		}
		x := 0.
		for _, v := range values {
			if p.i.opt().gauge.bounds[p.level].counts(v) {
				x++
			}
		}
		if len(values) > 0 {
			p.count(sec, x, float64(len(values)), 1)
		}
	}
}

func (p *undonePart) back(w *watch, sec int64) bool {
	t := p.process.leading()
	from := p.process.last(t)
	if sec-from < minRecovery {
		return false
	}
	win := p.process.window()
	if p.i.opt().gauge != nil {
		return p.process.tempered(p.i.opt().gauge.inflation(win)) >= recoverNats
	}
	// The rate that now is is asked for, so only the noise that passes counts,
	// and it passes while there is traffic.
	v := p.i.noise() * p.i.noise() * fade(w.extent(w.undo.heard, from, sec, p.process.ticks-t.tick+1).noise)
	return p.process.tempered(math.Max(1, win.heavy)*(1+win.eh*v)) >= recoverNats
}

// lastServed is the last second in which the new cohort served.
func (w *watch) lastServed(sec int64) int64 {
	if w.all.new.n > 0 {
		w.lastNew = sec
	}
	return w.lastNew
}

func (w *watch) recovery() Recovery {
	u := w.undo
	if u == nil {
		return Recovery{}
	}
	r := Recovery{Gone: u.gone, Within: u.since != 0}
	if r.Within {
		r.Since = w.engine.clock.timeOf(u.since)
	}
	var parts []string
	for k := range u.parts {
		p := &u.parts[k]
		if p.recent.wc == 0 || len(parts) >= 3 {
			continue
		}
		name := string(p.i.signal())
		switch {
		case p.i.opt().gauge != nil:
			name = "samples of " + p.i.opt().gauge.gauge.key.name + " beyond what is usual"
		case p.i.op >= 0:
			name += " of " + w.operationAt(p.i.op).name
		}
		l := &p.i.levels[p.level]
		now, before := p.recent.xc/p.recent.wc, l.controlRate()
		if p.i.signal() == event.SignalThroughput && p.i.op < 0 && p.i.pattern < 0 {
			parts = append(parts, fmt.Sprintf("%s now %.3g/s, %.3g/s before", name, now, before))
			continue
		}
		if l.complement {
			now, before = 1-now, 1-before
		}
		since := "the deployment"
		if w.always {
			since = "it began"
		}
		parts = append(parts, fmt.Sprintf("%s now %s, %s before %s", name, percent(now), percent(before), since))
	}
	if r.Gone {
		parts = append([]string{"the new version serves no more"}, parts...)
	}
	r.Detail = strings.Join(parts, "; ")
	return r
}
