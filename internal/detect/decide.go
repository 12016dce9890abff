package detect

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	healthyAlpha  = .05
	lossMaterial  = .05
	affectedNats  = 6.9   // ln 1000: the old cohort is as bad as the new one
	criticalShare = .2    // of the requests: operations whose latency and errors healthy needs
	minAffected   = 5     // seconds of the old cohort that may show so
	enoughControl = 30.   // requests, below which there is no control
	silentFor     = 60    // seconds after which a superseded cohort is gone
	undoFor       = 86400 // seconds that an ended, regressed watch still looks for recovery
)

// endSecond weighs the evidence and decides, once a second.
func (w *watch) endSecond(sec int64) {
	if w.ended {
		if w.state != event.Regressed || w.undo == nil || w.undo.since != 0 || sec-w.endedAt > undoFor {
			w.leave()
		}
		return
	}
	w.weighAll(sec)
	w.rec.grow(int32(sec-w.opened), w.nats)
	w.decide(sec)
	w.learnFromWatch(sec)
	w.passCheckpoints(sec)
	w.keepDocument(sec)
}

func (w *watch) decide(sec int64) {
	w.followMoves(sec)
	if w.nats < w.threshold {
		w.suspended = 0
	}
	for w.state != event.Regressed && w.nats >= w.threshold && w.leader != nil {
		reason, detail := w.exoneration(w.leader)
		wait := false
		if reason == "" {
			of, known := w.seenOfOld(w.leader)
			if wait = !known; of {
				reason, detail = event.ReasonOldCohortAffected, w.oldAffectedText(w.leader.signal())
			}
		}
		if reason == "" {
			reason, detail = w.knownBefore(w.leader)
		}
		if reason == "" {
			var may bool
			reason, detail, may = w.upstream(w.leader)
			if w.suspended == 0 {
				w.suspended = sec
			}
			if (wait || may) && reason == "" && sec-w.suspended < patience {
				break
			}
		}
		if reason != "" {
			w.leader.cleared = true
			w.set(event.Exonerated, reason, detail)
			w.weighAll(sec)
			continue
		}
		if w.placebo != nil {
			w.placebo.alarmed = true
			break
		}
		w.regressedAt = w.engine.clock.now
		w.set(event.Regressed, event.ReasonEvidenceOfHarm, "")
		w.peak = w.nats
		w.undo = newUndoing(w)
		w.fresh = nil
		w.verdict(w.engine.clock.wall(w.engine.clock.now)) // its proof, before anything fades
	}
	if w.state == event.Regressed || w.state == event.Exonerated {
		return
	}
	if w.oldAffected() {
		w.set(event.Exonerated, event.ReasonOldCohortAffected, w.oldAffectedText(event.SignalErrors))
		return
	}
	if w.state == event.Healthy {
		return
	}
	// Harm that began before is noise in history's eyes, and may be no evidence.
	if i := w.errors; !i.cleared && i.levels[0].total.xc > i.levels[0].controlRate()*i.levels[0].total.wc {
		if reason, detail := w.exoneration(i); reason != "" {
			i.cleared = true
			w.set(event.Exonerated, reason, detail)
			return
		}
	}
	if w.within() && w.ready != 0 && sec-w.ready >= int64(w.watches[0]/time.Second) {
		w.healthyAt = w.engine.clock.now
		w.set(event.Healthy, event.ReasonWithinTolerance, "")
		if w.fresh != nil && w.fresh.Requests+w.fresh.Lines > 0 {
			w.service.history = w.service.history.adopt(w.fresh)
		}
		w.fresh = nil
	}
}

func (w *watch) set(state event.VerdictState, reason event.Reason, detail string) {
	if w.state != state || w.reason != reason {
		w.changed = true
	}
	w.state, w.reason, w.detail = state, reason, detail
}

// lossy says whether so much of the new cohort's telemetry was lost that its
// silence proves nothing.
func (w *watch) lossy() bool {
	return w.items > 0 && float64(w.lost) > lossMaterial*float64(w.items)
}

// controlled says whether there is anything to compare with.
func (w *watch) controlled() bool {
	return w.base.Requests+w.base.Lines+w.base.Aside >= enoughControl || w.oldTotal >= enoughControl || len(w.byGauge) > 0
}

// criticals are the indicators that healthy needs: errors of the whole service,
// and errors and latency of the operations that make up most of it.
func (w *watch) criticals() []*indicator {
	out := []*indicator{w.errors}
	total, source := w.base.Requests, 0
	if total < enoughControl {
		total, source = w.oldTotal, 1
	}
	for _, i := range w.indicators {
		if i.op < 0 || i.aside != NotAside || i.signal() != event.SignalErrors && i.signal() != event.SignalLatency {
			continue
		}
		n := 0.
		if source == 1 {
			if o := w.byOp[i.op].errors; o != nil {
				n = o.levels[0].total.ws
			}
		} else if int(i.op) < len(w.base.Ops) {
			n = w.base.Ops[i.op].N
		}
		if n >= criticalShare*total && n > 0 {
			out = append(out, i)
		}
	}
	return out
}

// mayBeCritical says whether an operation (−1: the whole service) can be among
// the criticals: what history tells does not change while the watch is open.
func (w *watch) mayBeCritical(op int32) bool {
	switch {
	case op < 0 || w.base.Requests < enoughControl:
		return true
	case int(op) >= len(w.base.Ops):
		return false
	}
	return !w.base.Ops[op].Aside && w.base.Ops[op].N >= criticalShare*w.base.Requests
}

// isWithin says whether an indicator is shown to be within its tolerance.
func (i *indicator) isWithin(w *watch) bool {
	return i.toleranceNats(w) >= -math.Log(healthyAlpha)
}

func (i *indicator) toleranceNats(w *watch) float64 {
	best := 0.
	for k := range i.levels {
		if i.levels[k].opt().tol != nil {
			nats, _ := i.tolerated(w, &i.levels[k])
			best = math.Max(best, nats)
		}
	}
	return best
}

func (w *watch) within() bool {
	if w.newTotal == 0 || !w.controlled() || w.lossy() || w.nats > w.threshold/2 {
		return false
	}
	for _, i := range w.criticals() {
		if !i.isWithin(w) {
			return false
		}
	}
	return true
}

// exoneration looks for proof that the harm is not the deployment's: against
// history only, for beside a concurrent cohort a change that befell both is no
// evidence in the first place.
func (w *watch) exoneration(i *indicator) (event.Reason, string) {
	r, noise := &w.base.Recent, priorNoise
	if i.op >= 0 && int(i.op) < len(w.base.Ops) {
		own, n := w.base.Ops[i.op].course(i.signal())
		if own != nil {
			r, noise = own, n
		}
	}
	l, what := &i.levels[0], "errors"
	switch {
	case i.signal() == event.SignalErrors:
	case i.signal() == event.SignalLatency && i.aside == AsideCallee && r != &w.base.Recent:
		l, what = &i.levels[i.test.q95], "latency"
	default:
		return "", ""
	}
	if l.opt().wh <= l.total.wc/2 {
		return "", ""
	}
	m, ok := riseOf(r, float64(l.margin), w.alpha, noise, false)
	if now := l.total; !ok || lowerRate(now.xc, now.wc, 1+now.xc*noise*noise, w.alpha/2) <= float64(l.margin)*m.bound {
		return "", ""
	}
	if m.last >= int(r.Filled)-1 || m.lasts < 2 {
		return "", ""
	}
	before := int64(int(r.Filled)-1-m.last) * binSeconds
	return event.ReasonBeganBefore, fmt.Sprintf("%s rose by %s at the latest, %s before the first instance of the new version was seen",
		what, w.engine.clock.timeOf(w.opened-before).Format("15:04:05Z"), time.Duration(before)*time.Second)
}

// passCheckpoints notes the watches that ended, and ends the last one.
func (w *watch) passCheckpoints(sec int64) {
	from := w.ready
	if from == 0 {
		from = max(w.started, w.opened)
	}
	elapsed := time.Duration(sec-from) * time.Second
	for k, d := range w.watches {
		if elapsed < d || w.checkpoint >= d {
			continue
		}
		w.checkpoint, w.changed = d, true
		last := k == len(w.watches)-1
		if w.state == event.Watching || w.state == event.Inconclusive {
			w.inconclusive(k, last)
		}
		if last {
			w.end(sec)
		}
	}
	if w.ended {
		return
	}
	for _, other := range w.service.watches {
		if other.opened > w.opened && other.ready != 0 && sec-max(w.lastItem, w.opened) > max(silentFor, 3*w.service.stride) {
			if w.state == event.Watching {
				w.set(event.Inconclusive, event.ReasonSupersededWatch, "a newer deployment took its place before there was enough evidence")
			}
			w.end(sec)
			return
		}
	}
}

// inconclusive names why nothing is known at a checkpoint. Thin data is a
// reason only when the last watch ended; no data and no control are sooner.
func (w *watch) inconclusive(k int, last bool) {
	silent := w.items == 0
	switch {
	case silent && (k >= 1 || last):
		w.set(event.Inconclusive, event.ReasonNoData, "no telemetry of the new version has come")
	case silent:
	case !w.controlled():
		w.set(event.Inconclusive, event.ReasonNoControl, "there is nothing to compare with: no instance of an old version serves, and no history was recorded")
	case last && w.lossy():
		w.set(event.Inconclusive, event.ReasonDataLost, fmt.Sprintf("%d of %d items of the new version were not usable", w.lost, w.items))
	case last:
		w.set(event.Inconclusive, event.ReasonThinData, "")
	default:
		w.set(event.Watching, event.ReasonCollecting, "")
	}
}

// end closes the watch. What was not found bad becomes the new normal.
func (w *watch) end(sec int64) {
	w.ended, w.endedAt, w.changed = true, sec, true
	if w.state != event.Regressed {
		if w.fresh != nil && w.reason != event.ReasonSupersededWatch && w.fresh.Requests+w.fresh.Lines > 0 {
			w.service.history = w.service.history.adopt(w.fresh)
		}
		w.leave()
	}
	w.fresh, w.olds = nil, nil
}

// Finish says that no more telemetry comes, since a recording ended: what is
// undecided till then stays so, for that reason.
func (e *Engine) Finish() {
	e.work.Lock()
	defer e.work.Unlock()
	for _, w := range e.queue {
		if w.ended || w.state != event.Watching {
			continue
		}
		v := w.verdict(e.clock.wall(e.clock.now))
		after := v.At.Sub(v.WatchedFrom).Truncate(time.Second)
		switch longest := w.watches[len(w.watches)-1]; {
		case w.items == 0:
			w.set(event.Inconclusive, event.ReasonNoData, fmt.Sprintf("the recording ended %s after the deployment's start, and held no telemetry of the new version%s", max(after, 0), w.elsewhere()))
		default:
			w.set(event.Inconclusive, event.ReasonRecordingEnded, fmt.Sprintf("the recording ended %s into a watch of %s; %s", after, longest, v.Detail))
		}
	}
}

// elsewhere tells in which other environments a service speaks that says
// nothing in this one.
func (w *watch) elsewhere() string {
	speaks := func(s *service) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.sources) > 0
	}
	var list []string
	for _, s := range w.engine.list() {
		if s != w.service && s.key.name == w.service.key.name && speaks(s) {
			list = append(list, s.key.environment)
		}
	}
	if len(list) == 0 || speaks(w.service) {
		return ""
	}
	slices.Sort(list)
	return fmt.Sprintf("; %s speaks in %s, not in %s", w.service.key.name, strings.Join(list[:min(len(list), 5)], ", "), w.service.key.environment)
}

// due says whether Tick should give this verdict now.
func (w *watch) due(now int64) bool {
	if !w.changed && (w.ended || now-w.toldAt < int64(w.engine.cfg.Refresh)) {
		return false
	}
	w.changed, w.toldAt = false, now
	return true
}

// powered is the smallest rate ratio of the service's errors that the exposure
// so far could have shown, and the same as an absolute rise; 0 when unknown.
func (w *watch) powered() (ratio, rise float64) {
	l := &w.errors.levels[0]
	t := l.tested()
	if t.wc == 0 {
		return 0, 0
	}
	p := math.Max(l.controlRate(), 1/math.Max(l.total.ws+l.base.Exposure, 1))
	t.heavy = w.design()
	phi := w.errors.inflation(w, l, t, w.span(l.harm.began(), w.engine.open.Load()-1, l.harm.ticks), true)
	need := (w.threshold-math.Log(float64(w.errors.share)))*phi + logCells + math.Ln2
	// What was tested beside the old version has its exposure for a partner, the
	// rest the bound that history leaves: nats of both add up.
	beside := math.Max(t.wc-t.wh, 0)
	margin := math.Max(float64(l.margin), 1)
	gain := func(r float64) (nats float64) { // that a ratio r would give
		if r <= margin {
			return 0
		}
		if t.ws > 0 && beside > 0 {
			th0 := margin * beside / (margin*beside + t.ws)
			th := r * beside / (r*beside + t.ws)
			nats = r*p*beside*math.Log(th/th0) + p*t.ws*math.Log((1-th)/(1-th0))
		}
		if x, m := r*p*t.wh, margin*t.eh; m > 0 && x > m {
			nats += x*math.Log(x/m) - (x - m)
		}
		return nats
	}
	lo, hi := margin, 2*margin
	for gain(hi) < need {
		if hi *= 2; hi > 1e9 {
			return 0, 0
		}
	}
	for range 40 {
		if mid := (lo + hi) / 2; gain(mid) < need {
			lo = mid
		} else {
			hi = mid
		}
	}
	if p*hi > 1 {
		return 0, 0
	}
	return hi, p * (hi - 1)
}

// eta is when a decision may be expected; 0 when that is not known.
func (w *watch) eta(sec int64) time.Duration {
	if w.state != event.Watching && w.state != event.Inconclusive || w.ready == 0 {
		return 0
	}
	if w.nats > 1 && w.slope > 0 && w.leader != nil {
		return seconded(w.leader.passage(w, sec, w.threshold-w.nats))
	}
	longest := math.Max(w.watches[0].Seconds()-float64(sec-w.ready), 0)
	for _, i := range w.criticals() {
		left := -math.Log(healthyAlpha) - i.toleranceNats(w)
		if left <= 0 {
			continue
		}
		drift := i.toleranceDrift(w, sec)
		if drift <= 0 {
			return 0
		}
		longest = math.Max(longest, halfway(left)/drift)
	}
	return seconded(longest)
}
func seconded(s float64) time.Duration {
	if !finite(s) || s < 0 || s > farthest {
		return 0
	}
	return time.Duration(math.Ceil(s)) * time.Second
}

func percent(p float64) string {
	switch p *= 100; {
	case p != 0 && math.Abs(p) < .1:
		return fmt.Sprintf("%.3f%%", p)
	case math.Abs(p) < 10:
		return fmt.Sprintf("%.2f%%", p)
	default:
		return fmt.Sprintf("%.1f%%", p)
	}
}
