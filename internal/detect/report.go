package detect

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/axiomhq/hyperloglog"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	maxEvidence = 20
	maxRelated  = 10
	listFDR     = .05 // of the list of indicators called harmful in one verdict (e-BH)
	z95         = 1.959964
)

// verdict tells all that is known now, and no less than what it stands on.
func (w *watch) verdict(at time.Time) event.Verdict {
	v := w.present(at)
	if w.state == event.Regressed {
		w.convicted(&v)
	}
	if v.Detail == "" {
		v.Detail = w.explain(&v)
	}
	v.Detail += w.movedText()
	return v
}

// present tells what can be said from the counts as they are now.
func (w *watch) present(at time.Time) event.Verdict {
	clock := &w.engine.clock
	sec := w.engine.open.Load() - 1
	v := event.Verdict{Deployment: w.d, State: w.state, Reason: w.reason, Detail: w.detail, Calibrating: w.calibration.Source == event.CalibrationProvisional, Mode: w.mode, At: at,
		Checkpoint: w.checkpoint, RegressedAt: clock.told(w.regressedAt), HealthyAt: clock.told(w.healthyAt),
		Nats: w.nats, Threshold: w.threshold, Calibration: w.rests(), Losses: lossList(w.service.losses.snapshot(), w.lossesBefore)}
	from := w.ready
	if from == 0 {
		from = max(w.started, w.opened)
	}
	v.WatchedFrom = clock.timeOf(from)
	v.WatchedTill = v.WatchedFrom.Add(w.watches[len(w.watches)-1])
	v.ETA = w.eta(sec)
	v.MinimumEffect, v.MinimumEffectAbs = w.powered()
	v.NewRequests, v.OldRequests = w.newTotal, w.oldTotal+w.base.Requests
	v.Control, v.ControlDetail = w.control()
	v.ControlDetail += w.weekText() + w.peersText()
	v.Evidence = w.evidence()
	if w.leader != nil && (w.state == event.Regressed || w.nats > 1) {
		v.Onset = w.onset(w.leader)
		if w.leader.firstBad != 0 {
			v.FirstBadAt = clock.wall(w.leader.firstBad)
			if v.Onset != nil && w.leader.signal() != event.SignalException && w.leader.signal() != event.SignalLog {
				// What is called the first bad item is the first since the
				// change: errors were there before at the control's rate.
				if v.FirstBadAt.Before(v.Onset.Earliest) {
					v.FirstBadAt = v.Onset.At
				}
			}
		}
	}
	v.Related = w.related(v.Onset)
	v.Impact = w.impact()
	v.Exclusive = w.exclusive()
	if w.state == event.Regressed {
		v.Through = w.through()
	}
	return v
}

// control says what the new cohort was compared with, and why.
func (w *watch) control() (event.ControlKind, string) {
	t := w.errors.levels[0].counts()
	base := w.base.Requests
	by := ""
	if w.service.stride > 1 {
		by = fmt.Sprintf(", as metrics tell every %ds", w.service.stride)
	}
	switch {
	case t.ws > 0 && t.wh < t.wc/2:
		return event.ControlConcurrent, fmt.Sprintf("%d instances of the old version, serving at the same time: %s requests%s", int(w.oldSources), quantity(t.ws), by)
	case t.wh > 0 || base >= enoughControl:
		return event.ControlHistory, fmt.Sprintf("no old version serves beside it; %s requests of the %s before%s", quantity(base), (time.Duration(w.base.Seconds) * time.Second).String(), by)
	case w.base.Lines >= enoughControl:
		return event.ControlHistory, fmt.Sprintf("%s log lines of the %s before", quantity(w.base.Lines), (time.Duration(w.base.Seconds) * time.Second).String())
	case w.gaugeControl() != event.ControlNone:
		return w.gaugeControl(), fmt.Sprintf("%s samples of gauges", quantity(w.gaugeSamples))
	case t.ws > 0:
		return event.ControlConcurrent, fmt.Sprintf("%d instances of the old version: %s requests", int(w.oldSources), quantity(t.ws))
	}
	return event.ControlNone, "neither an old version serving beside it nor recorded history"
}

func quantity(n float64) string {
	switch {
	case n >= 1e6:
		return strconv.FormatFloat(n/1e6, 'f', 1, 64) + "M"
	case n >= 1e4:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + "k"
	default:
		return strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	}
}

// evidence lists the indicators worth seeing, strongest first.
func (w *watch) evidence() []event.Evidence {
	critical := map[*indicator]bool{}
	for _, i := range w.criticals() {
		critical[i] = true
	}
	bar := w.listBar()
	var out []event.Evidence
	for _, i := range w.indicators {
		proved := w.state == event.Regressed && w.proof == nil && i == w.leader
		if len(i.levels) == 0 || !critical[i] && !proved && i.nats < 1+w.looks() {
			continue
		}
		harm := !i.cleared && !i.onlyShown() && (i.nats >= bar || proved)
		if e, ok := w.show(i, harm); ok {
			e.Critical = critical[i]
			e.Within = critical[i] && i.isWithin(w)
			out = append(out, e)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Nats > out[j].Nats })
	return out[:min(len(out), maxEvidence)]
}

// listBar is the evidence from which an indicator is listed as harmful.
func (w *watch) listBar() float64 {
	var nats []float64
	for _, i := range w.indicators {
		if len(i.levels) > 0 && !i.cleared && !i.onlyShown() {
			nats = append(nats, i.nats-w.looks())
		}
	}
	return eBH(nats, len(nats)) + w.looks()
}

// eBH is e-BH's bar on the present E of so many indicators, of which those with
// any evidence are given: the largest k with E_(k) ≥ K/(k·q).
func eBH(nats []float64, all int) float64 {
	sort.Sort(sort.Reverse(sort.Float64Slice(nats)))
	for k := len(nats); k >= 1; k-- {
		if nats[k-1] >= math.Log(float64(all)/(float64(k)*listFDR)) {
			return nats[k-1]
		}
	}
	return math.Inf(1)
}

// show is one indicator as a person reads it.
func (w *watch) show(i *indicator, harm bool) (event.Evidence, bool) {
	if w.excursion != nil && i == w.leader {
		return w.excursion.shown, true
	}
	l := &i.levels[i.best]
	if i.signal() == event.SignalLatency && !harm {
		l = &i.levels[i.test.q95]
	}
	e := event.Evidence{Signal: i.signal(), Unit: "1", Nats: i.nats, Threshold: w.threshold - math.Log(float64(i.share)), Harm: harm, FirstEver: i.firstEver}
	now := l.counts()
	if i.onlyShown() {
		e.Threshold = 0
	}
	if harm && l.harm.ticks > 0 {
		now = l.harm.window()
		e.Onset = w.onset(i)
	}
	if now.wc == 0 {
		return e, false
	}
	old := counts{xs: l.total.xs, ws: l.total.ws}
	e.Control = event.ControlConcurrent
	if old.ws == 0 || l.opt().wh > l.total.wc/2 {
		old, e.Control = counts{xs: l.base.Events, ws: l.base.Exposure}, event.ControlHistory
	}
	if i.firstEver {
		old = counts{ws: l.total.ws + l.base.Exposure}
	}
	if old.ws == 0 {
		e.Control = event.ControlNone
	}
	e.New, e.Old = event.Count{Events: now.xc, Exposure: now.wc}, event.Count{Events: old.xs, Exposure: old.ws}
	if l.complement {
		e.New.Events, e.Old.Events = now.wc-now.xc, old.ws-old.xs
	}
	switch {
	case i.signal() == event.SignalLatency:
		e.Detail = w.operationAt(i.op).boundText(i.test.bounds[i.levelOf(l)])
	case i.signal() == event.SignalGauge:
		e.Operation, e.Detail = i.opt().gauge.gauge.key.name, i.opt().gauge.text(i.levelOf(l))
	case i.signal() == event.SignalThroughput && i.op < 0 && i.pattern < 0:
		e.Unit, e.Detail = "1/s", "successful requests of the whole service"
	case i.signal() == event.SignalThroughput:
		e.Detail = "share of all requests"
	case i.aside == AsideRate:
		e.Unit, e.Detail = "1/s", "an instance"
	}
	if i.op >= 0 {
		if e.Operation = w.operationAt(i.op).name; i.aside == AsideCaller {
			e.Operation, e.Detail = "", strings.TrimSpace(e.Operation+" "+e.Detail)
		}
	}
	if i.pattern >= 0 {
		p := w.patternAt(i.pattern)
		e.Operation = p.operation
		switch p.kind {
		case event.SignalException:
			e.Detail = p.typ + " " + fingerprintText(p.id)
		case event.SignalLog:
			if e.Detail = p.template; i.signal() == event.SignalThroughput {
				e.Operation = "log lines"
			}
		}
	}
	e.After = e.New.Events / e.New.Exposure
	if e.Old.Exposure > 0 {
		e.Before = e.Old.Events / e.Old.Exposure
		e.Ratio = ratioOf(e.After, e.Before, e.Old.Exposure)
		e.Interval = difference(e.New, e.Old, math.Max(float64(i.phi), 1), e.Unit == "1")
	}
	if l.opt().better != nil && l.opt().better.ticks > 0 {
		phi := i.inflation(w, l, l.counts(), w.span(l.harm.began(), w.engine.open.Load()-1, l.opt().better.ticks), true)
		e.Improved = !harm && l.opt().better.tempered(phi) >= math.Log(20*float64(max(1, len(w.indicators))))
	}
	return e, true
}

// ratioOf is after/before; where nothing was seen before, against the half
// event that might just have been missed.
func ratioOf(after, before, exposure float64) float64 {
	if before > 0 {
		return after / before
	}
	if after == 0 {
		return 1
	}
	return after * exposure / .5
}

// difference is a 95 % interval of the difference of two rates (Agresti–Caffo
// for shares, Wald with one more event for others), widened by √φ.
func difference(now, old event.Count, phi float64, share bool) [2]float64 {
	n1, n2 := now.Exposure+2, old.Exposure+2
	p1, p2 := (now.Events+1)/n1, (old.Events+1)/n2
	v := p1/n1 + p2/n2
	if share {
		p1, p2 = math.Min(p1, 1), math.Min(p2, 1)
		v = p1*(1-p1)/n1 + p2*(1-p2)/n2
	}
	d, h := p1-p2, z95*math.Sqrt(math.Max(v, 0)*phi)
	out := [2]float64{d - h, d + h}
	if share {
		out[0], out[1] = math.Max(out[0], -1), math.Min(out[1], 1)
	}
	return out
}

func fingerprintText(id uint64) string { return fmt.Sprintf("%016x", id) }

// related lists the groups of errors that the new cohort shows more of, or that
// belong to an operation that got worse.
func (w *watch) related(onset *event.Onset) []event.RelatedError {
	ofIt := func(r *event.RelatedError, nats float64) bool {
		return !w.always || onset == nil || ofHarm(r, onset.Earliest, nats > 0)
	}
	clock := &w.engine.clock
	type ranked struct {
		event.RelatedError
		nats float64
	}
	var list []ranked
	for index := range w.hits {
		p := &w.hits[index]
		if p.new == 0 || index == otherIndex {
			continue
		}
		known := w.patternAt(int32(index))
		if known.kind == signalWork || known.kind == event.SignalLog && known.severity < shownSeverity {
			continue
		}
		past := 0.
		if index < len(w.base.Patterns) {
			past = w.base.Patterns[index].Count
		}
		r := ranked{RelatedError: event.RelatedError{Signal: known.kind, Fingerprint: fingerprintText(known.id), Type: known.typ, Message: known.message,
			Template: known.template, Operation: known.operation, Frames: known.frames, OnlyInNew: p.old == 0 && past == 0,
			NewCount: p.new, OldCount: p.old, FirstAt: clock.wall(p.firstNewAt)}}
		if r.OnlyInNew && known.firstAt >= p.firstNewAt {
			r.FirstAt = clock.wall(known.firstAt)
		}
		if i := w.ofPattern(int32(index)); i != nil {
			r.nats = i.nats
		}
		// What is as frequent in the control tells nothing of the deployment.
		if !r.OnlyInNew && r.nats <= 0 {
			continue
		}
		r.Examples = w.examples(known.examples)
		if ofIt(&r.RelatedError, r.nats) {
			list = append(list, r)
		}
	}
	for _, i := range w.indicators {
		if i.signal() != event.SignalErrors || i.op < 0 || i.nats < 1 {
			continue
		}
		o := w.operationAt(i.op)
		l := &i.levels[0]
		r := ranked{nats: i.nats, RelatedError: event.RelatedError{Signal: event.SignalErrors, Operation: o.name, Fingerprint: "failed " + o.name,
			OnlyInNew: l.total.xs == 0 && l.base.Events == 0, NewCount: l.total.xc, OldCount: l.total.xs, Examples: w.examples(o.kept)}}
		if i.firstBad != 0 {
			r.FirstAt = clock.wall(i.firstBad)
		}
		if len(r.Examples) > 0 {
			r.Message = r.Examples[0].Message
		}
		if ofIt(&r.RelatedError, r.nats) {
			list = append(list, r)
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		if a.nats != b.nats {
			return a.nats > b.nats
		}
		if a.OnlyInNew != b.OnlyInNew {
			return a.OnlyInNew
		}
		return a.NewCount > b.NewCount
	})
	out := make([]event.RelatedError, 0, min(len(list), maxRelated))
	for _, r := range list[:min(len(list), maxRelated)] {
		out = append(out, r.RelatedError)
	}
	return out
}

// examples picks those of the new cohort, earliest first.
func (w *watch) examples(list []sourceExample) []event.Example {
	var out []event.Example
	for _, x := range list {
		if w.cohortOf(x.source) == cohortNew {
			out = append(out, x.example)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].At.Before(out[j].At) })
	return out
}

// impact is who felt it: failed requests beyond the control's rate since the
// watch began, or slow ones where latency leads, and their users.
func (w *watch) impact() event.Impact {
	var out event.Impact
	i := w.errors
	if w.leader != nil && w.leader.signal() == event.SignalLatency && w.leader.nats > w.errors.nats {
		i = w.leader
	}
	if len(i.levels) == 0 || w.leader == nil || w.nats < 1 && w.state != event.Regressed {
		return out
	}
	l := &i.levels[i.best]
	x := l.total.xc
	rate := l.controlRate()
	if l.complement {
		x, rate = l.total.wc-x, 1-rate
	}
	out.Requests = math.Max(0, x-rate*l.total.wc)
	if l.total.wc > 0 {
		out.Share = out.Requests / l.total.wc
	}
	if i == w.errors {
		w.burn(&out)
	}
	out.Requests = math.Round(out.Requests)
	users := hyperloglog.New()
	found := false
	w.service.mu.Lock()
	sources := append([]*Source(nil), w.service.sources...)
	w.service.mu.Unlock()
	for _, s := range sources {
		if w.cohortOf(s) != cohortNew {
			continue
		}
		s.mu.Lock()
		if s.users != nil {
			found = users.Merge(s.users) == nil || found
		}
		s.mu.Unlock()
	}
	if found {
		out.Users = float64(users.Estimate())
	}
	return out
}

// burn tells what share of the error budget the failed requests are: of those
// that may fail in the objective's window at the pace before the deployment.
func (w *watch) burn(out *event.Impact) {
	c := &w.engine.cfg
	objective := c.Objective
	if own := c.Services[w.d.Service].Objective; own > 0 && own < 1 {
		objective = own
	}
	pace := 0.
	if w.base.Seconds > 0 {
		pace = w.base.Requests / w.base.Seconds
	}
	if elapsed := float64(w.engine.open.Load() - w.ready); pace == 0 && w.ready != 0 && elapsed > 0 {
		pace = (w.newTotal + w.oldTotal) / elapsed
	}
	if allowed := (1 - objective) * pace * c.ObjectiveWindow.Seconds(); allowed > 0 && out.Requests > 0 {
		out.Budget, out.Objective, out.Window = out.Requests/allowed, objective, c.ObjectiveWindow
	}
}

// followUsers begins to count the distinct users whose requests fail.
func (s *Source) followUsers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepUsers = true
	if s.users == nil {
		s.users = hyperloglog.New()
	}
}

// explain says the reason in words, with numbers.
func (w *watch) explain(v *event.Verdict) string {
	switch v.State {
	case event.Regressed:
		for _, e := range v.Evidence {
			if e.Harm {
				text := fmt.Sprintf("%s; evidence %.1f nats, %.1f needed", Sentence(e), v.Nats, v.Threshold)
				if w.unheard {
					text += "; the new version was never heard, though its deployment is done and its callers go on"
				}
				if v.Through != "" {
					text += "; " + callsTo + v.Through + " went bad with it, and account for it"
				}
				return text
			}
		}
		return fmt.Sprintf("evidence of harm: %.1f nats, %.1f needed", v.Nats, v.Threshold)
	case event.Healthy:
		l := &w.errors.levels[0]
		return fmt.Sprintf("errors %s, %s before, in %s requests of the new version; every critical indicator is shown to be within tolerance",
			percent(l.total.xc/l.total.wc), percent(l.controlRate()), quantity(l.total.wc))
	}
	what := quantity(w.newTotal) + " requests"
	if w.newTotal == 0 && w.gaugeSamples > 0 {
		what = quantity(w.gaugeSamples) + " samples of gauges"
	}
	text := fmt.Sprintf("%s of the new version so far; evidence of harm %.1f of %.1f nats", what, math.Max(v.Nats, 0), v.Threshold)
	if v.MinimumEffect > 0 {
		text += fmt.Sprintf("; a rise of errors by a factor of %.2g would have been seen", v.MinimumEffect)
	}
	if v.ETA > 0 {
		text += fmt.Sprintf("; a decision is expected in about %s", v.ETA)
	}
	return text
}

// Sentence is one indicator in words: "errors of POST /cart 0.21% → 4.80% (×23)".
func Sentence(e event.Evidence) string {
	text := string(e.Signal)
	if e.Operation != "" {
		text += " of " + e.Operation
	}
	if e.Detail != "" {
		text += " " + e.Detail
	}
	if e.FirstEver {
		return fmt.Sprintf("%s, never seen before: %s times in %s", text, quantity(e.New.Events), quantity(e.New.Exposure))
	}
	if e.Unit == "1" {
		return fmt.Sprintf("%s %s → %s (×%.3g)", text, percent(e.Before), percent(e.After), e.Ratio)
	}
	return fmt.Sprintf("%s %.4g → %.4g %s (×%.3g)", text, e.Before, e.After, e.Unit, e.Ratio)
}
