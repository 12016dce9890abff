package detect

import (
	"fmt"
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// oldAffected: both cohorts are far above what the service did before, and the
// new one is no worse than the old one.
func (w *watch) oldAffected() bool {
	return w.oldIsBad(w.errors) && w.againstPast(w.errors, w.errors.opt().now) >= affectedNats && w.nats < 1
}

// comparable is the level at which an indicator's old cohort is compared with
// the past: of latency, the q95.
func (i *indicator) comparable() *level {
	if i.test != nil {
		return &i.levels[i.test.q95]
	}
	return &i.levels[0]
}

// oldIsBad: the old cohort, which serves, is far worse than the service was before.
func (w *watch) oldIsBad(i *indicator) bool {
	l := i.comparable()
	if i.opt().old == nil || l.total.ws < .05*l.total.wc || l.total.ws == 0 || l.base.Exposure == 0 || i.opt().old.ticks < minAffected {
		return false
	}
	return w.againstPast(i, i.opt().old) >= affectedNats
}

// againstPast is ln E of one cohort against history.
func (w *watch) againstPast(i *indicator, p *process) float64 {
	if p.ticks == 0 {
		return 0
	}
	t := p.leading()
	return p.tempered(i.inflation(w, i.comparable(), p.window(), i.since(w, p, t, w.engine.open.Load()-1), true))
}

// stepOldCohort asks of one second whether the old version got as bad as the new one.
func (w *watch) stepOldCohort(i *indicator, sec int64, c counts) {
	l := i.comparable()
	if i.opt().old == nil || l.complement || l.base.Exposure <= 0 {
		return
	}
	var logs [cells]float64
	up := float64(l.upper)
	step := func(p *process, x, n float64) {
		if n > 0 {
			rateLogs(x, n, up, float64(l.margin), upper, &logs)
			p.step(&logs, sec, counts{xc: x, wc: n, wh: n, eh: up * n, heavy: c.heavy})
		}
	}
	step(i.opt().old, c.xs, c.ws)
	step(i.opt().now, c.xc, c.wc)
}

// followOld lets an operation's latency in the old cohort be compared with the
// past, where callers are there who would not tell the two apart.
func (w *watch) followOld(i *indicator) {
	if i.opt().old == nil && i.aside == NotAside && w.callers && w.followed < maxFollowed {
		w.followed++
		i.with().old, i.with().now = &process{}, &process{}
	}
}

// maxFollowed bounds the operations, the busiest first.
const maxFollowed = 5

// seenOfOld says whether what a caller sees is the old version's doing beside
// the new one: callers do not tell the two apart, so what they see is compared
// with the past alone. The old one is as bad as never before, the new one no
// worse than it, and both together account for what the caller sees. known says
// that there was enough to tell.
func (w *watch) seenOfOld(seen *indicator) (of, known bool) {
	if seen.aside != AsideCaller {
		return false, true
	}
	own := []*indicator{w.errors}
	if seen.signal() == event.SignalLatency {
		own = own[:0]
		for _, i := range w.indicators {
			if i.signal() == event.SignalLatency && i.opt().old != nil && i.test != nil {
				own = append(own, i)
			}
		}
	}
	if l := seen.comparable(); seen.signal() == event.SignalLatency && len(own) > 0 && w.paceOld > 0 {
		if began, _, _ := l.harm.onset(l.harm.leading()); w.engine.drained() <= began {
			return false, false
		}
	}
	bad, explained := false, 0.
	for _, i := range own {
		if i.nats >= 1 {
			return false, true
		}
		bad = bad || w.oldIsBad(i)
		l := i.comparable()
		if l.base.Exposure == 0 {
			continue
		}
		for _, p := range []*process{i.opt().old, i.opt().now} {
			if p.ticks > 0 {
				c := p.window()
				explained += math.Max(c.xc-l.controlPast()*c.wc, 0)
			}
		}
	}
	if !bad || excess(seen.comparable()) > inherits*explained {
		return false, true
	}
	if seen.signal() != event.SignalLatency {
		return true, true
	}
	// Beyond all bounds of the past, one may be much slower than the other.
	for _, i := range own {
		if w.slowerThanOld(i.op) {
			return false, true
		}
	}
	return true, true
}

// knownBefore says whether an earlier deployment of the same version is known to
// have done the same harm, and is not undone: this one brought it nobody.
func (w *watch) knownBefore(i *indicator) (event.Reason, string) {
	for _, other := range w.service.watches {
		if other == w || other.opened >= w.opened || !other.bad() || other.undo == nil || !sameRelease(&other.d, &w.d) {
			continue
		}
		if slices.ContainsFunc(other.undo.parts, func(p undonePart) bool {
			return p.i.signal() == i.signal() && p.i.op == i.op && p.i.pattern == i.pattern && p.i.opt().gauge == nil && i.opt().gauge == nil
		}) {
			return event.ReasonBeganBefore, "the same version does the same harm since " + other.d.Label()
		}
	}
	return "", ""
}

// sameRelease says whether two deployments are known to be of one version.
func sameRelease(a, b *event.Deployment) bool {
	version, revision := a.Version != "" && b.Version != "", a.Revision != "" && b.Revision != ""
	return (version || revision) && (!version || event.SameVersion(a.Version, b.Version)) && (!revision || event.SameRevision(a.Revision, b.Revision))
}

// slowerThanOld compares mean latencies of both cohorts since the watch began.
func (w *watch) slowerThanOld(op int32) bool {
	if w.fresh == nil || int(op) >= min(len(w.fresh.Ops), len(w.olds)) || w.olds[op] == nil {
		return false
	}
	s, was := slower(&opHistory{Sketch: w.olds[op]}, &w.fresh.Ops[op])
	return s.n >= enoughControl && s.by-2*s.sigma > (inherits-1)*was
}

func (w *watch) oldAffectedText(signal event.Signal) string {
	if signal == event.SignalLatency {
		return "latency rose in the old version too, and accounts for what callers see"
	}
	l := &w.errors.levels[0]
	return fmt.Sprintf("errors rose in the old version too: %s there and %s in the new one, %s before the deployment",
		percent(l.total.xs/l.total.ws), percent(l.total.xc/l.total.wc), percent(l.controlPast()))
}
