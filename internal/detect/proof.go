package detect

import (
	"math"
	"slices"
	"sort"

	"github.com/deployloop/deployloop/internal/event"
)

// proof is what a verdict of regressed stands on. Evidence fades when the harm
// is over, but what proved it stays proved: whoever reads the alert later sees
// at least what it was called for. The list of indicators is the one at the
// call (a list that grew whenever something came near would lose its e-BH
// guarantee); each is kept at its strongest. It is saved as it is.
type proof struct {
	Threshold float64
	Evidence  []event.Evidence
	Related   []event.RelatedError
	Impact    event.Impact
	Onset     *event.Onset
	Exclusive *event.Exclusive
	Through   string
}

// convicted begins or goes on with the proof, and lets the verdict say no less.
func (w *watch) convicted(v *event.Verdict) {
	p := w.proof
	if p == nil {
		p = &proof{Threshold: v.Threshold, Onset: v.Onset, Related: v.Related}
		for _, e := range v.Evidence {
			if e.Harm {
				p.Evidence = append(p.Evidence, e)
			}
		}
		w.proof = p
	}
	v.Nats, v.Threshold = w.peak, p.Threshold
	for k := range p.Evidence {
		kept := &p.Evidence[k]
		at := slices.IndexFunc(v.Evidence, func(e event.Evidence) bool { return sameIndicator(&e, kept) })
		switch {
		case at < 0:
			v.Evidence = append(v.Evidence, *kept)
		case v.Evidence[at].Harm && v.Evidence[at].Nats >= kept.Nats:
			*kept = v.Evidence[at]
			if k == 0 && kept.Onset != nil {
				p.Onset = kept.Onset
			}
		default:
			v.Evidence[at] = *kept
		}
	}
	sort.SliceStable(v.Evidence, func(i, j int) bool { return v.Evidence[i].Nats > v.Evidence[j].Nats })
	v.Evidence = v.Evidence[:min(len(v.Evidence), maxEvidence)]
	if p.Onset != nil {
		v.Onset = p.Onset
	}
	if v.Exclusive == nil {
		v.Exclusive = p.Exclusive
	}
	p.Exclusive = v.Exclusive
	if v.Through == "" {
		v.Through = p.Through
	}
	p.Through = v.Through
	for _, r := range p.Related {
		if len(v.Related) < maxRelated && !slices.ContainsFunc(v.Related, func(x event.RelatedError) bool { return x.Fingerprint == r.Fingerprint }) {
			v.Related = append(v.Related, r)
		}
	}
	p.Impact.Requests = math.Max(p.Impact.Requests, v.Impact.Requests)
	p.Impact.Share = math.Max(p.Impact.Share, v.Impact.Share)
	p.Impact.Users = math.Max(p.Impact.Users, v.Impact.Users)
	if v.Impact.Budget > p.Impact.Budget {
		p.Impact.Budget, p.Impact.Objective, p.Impact.Window = v.Impact.Budget, v.Impact.Objective, v.Impact.Window
	}
	v.Impact = p.Impact
}

// sameIndicator: a latency indicator's detail is its strongest bound, which may
// change; elsewhere the detail is part of what it is.
func sameIndicator(a, b *event.Evidence) bool {
	return a.Signal == b.Signal && a.Operation == b.Operation && (a.Detail == b.Detail || a.Signal == event.SignalLatency)
}
