package detect

import (
	"maps"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// A new version that never says a thing may be down, or serve well in the dark.
// Its own silence proves neither. Once its deployment is known to be done, its
// callers tell: their calls are then calls of the new version, and where calls
// that succeed vanish while those who made them go on serving, so does what the
// service did. Both counts of a caller come from the same sender, so that a lull
// of the load, or telemetry that is lost, takes both.

// deployed says whether the deployment is known to be done.
func (w *watch) deployed(sec int64) bool {
	d := &w.d
	return d.ID != "" && !d.FinishedAt.IsZero() && d.Status != event.DeploymentFailed && d.Status != event.DeploymentRolledBack &&
		sec >= w.engine.clock.second(d.FinishedAt)
}

// spell is what a service did in one of the last two seconds: by then all of
// its environment was counted.
type spell struct {
	sec       int64
	requests  float64
	succeeded float64            // of them
	seen      map[string]float64 // calls of it that succeeded, as each caller sees it; nil: nobody asks
}

// dwell keeps a second of the service.
func (s *service) dwell(sec int64, k *scratch) {
	x := &s.spells[sec&1]
	*x = spell{sec: sec}
	if slices.ContainsFunc(s.watches, func(w *watch) bool { return w.ready == 0 && len(w.depend) > 0 }) {
		x.seen = map[string]float64{}
	}
	for i := range k.samples {
		c := &k.samples[i]
		if !c.aside {
			x.requests += float64(c.cell.n)
			x.succeeded += float64(c.cell.n - c.cell.failed)
		} else if x.seen != nil && c.source.origin.Caller != "" {
			x.seen[c.source.origin.Caller] += float64(c.cell.n - c.cell.failed)
		}
	}
}

// dependents are the callers of the service, and how many of their calls to it
// succeeded for each of their own requests that did, in the last ten minutes.
func (w *watch) dependents() map[string]float64 {
	out := map[string]float64{}
	for k := range w.base.Ops {
		o := w.operationAt(int32(k))
		caller, ok := strings.CutPrefix(o.name, seenBy)
		if !ok || o.aside.Kind != AsideCaller || w.base.Ops[k].Recent == nil {
			continue
		}
		s := w.caller(caller)
		if s == nil {
			continue
		}
		theirs, own := w.base.Ops[k].Recent, &s.history.Recent
		both := min(theirs.Filled, own.Filled) // neither counts before the other did
		calls, callBins := theirs.successes(both)
		requests, bins := own.successes(both)
		if callBins >= dependentBins && bins >= dependentBins && calls > 0 && requests > 0 {
			out[caller] = calls / requests
		}
	}
	return out
}

const dependentBins = 6 // ten seconds each, in which both were heard

// successes of the last full bins, and in how many of them anything was heard.
func (r *ring) successes(last uint8) (sum float64, heard int) {
	for k := uint8(1); k <= last; k++ {
		n, failed := r.bin(r.back(k))
		sum += n - failed
		if n > 0 {
			heard++
		}
	}
	return sum, heard
}

// caller is another service of the environment whose version is the one that
// its calls were counted of: what it calls may change with its own deployments.
func (w *watch) caller(name string) *service {
	w.engine.mu.RLock()
	s := w.engine.services[serviceKey{name, w.service.key.environment}]
	w.engine.mu.RUnlock()
	if s == nil || s == w.service || slices.ContainsFunc(s.watches, func(o *watch) bool {
		return !o.ended && (o.state != event.Healthy || o.opened > w.opened-ringBins*binSeconds)
	}) {
		return nil
	}
	return s
}

// stepUnheard counts the last second's successful calls, as callers see them,
// against as many as they made of old for so many requests that succeed (one
// that fails may have done so before its call): in seconds of the service's
// traffic, whose part these calls are.
func (w *watch) stepUnheard(i *indicator, sec int64) {
	l := &i.levels[0]
	done := w.engine.clock.second(w.d.FinishedAt)
	since := sec - done - w.warmup
	last := w.service.spells[(sec-1)&1]
	if since < 1 || since > trafficFor || last.sec != sec-1 || last.seen == nil || l.base.Exposure < 60 || l.base.Events < 60 {
		w.held = counts{}
		return
	}
	expected, calls := 0., 0.
	for _, name := range slices.Sorted(maps.Keys(w.depend)) { // sums must not depend on the order
		s := w.caller(name)
		if s == nil || s.spells[(sec-1)&1].sec != sec-1 {
			continue
		}
		expected += w.depend[name] * s.spells[(sec-1)&1].succeeded
		calls += last.seen[name]
	}
	if expected <= 0 {
		return // nobody who called goes on: load ended, or telemetry is missing
	}
	w.hold(i, sec, counts{xc: calls, wc: expected / l.controlPast(), heavy: w.heaviest})
}
