package anomalyconnector

import (
	"cmp"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// maxConcurrent bounds the deployments that are weighed against each other.
const maxConcurrent = 10

// concurrent weighs the deployments that may be behind a regression: the one it
// shows in, and those of services that it calls, at the same time. Nil when
// there is only the one.
func (m *monitor) concurrent(t *tracked) []event.DeploySuspect {
	v := t.verdict
	h := suspect.Harm{Service: t.d.Service, From: v.RegressedAt, Best: v.RegressedAt, Till: v.RegressedAt}
	if o := v.Onset; o != nil {
		h.From, h.Best, h.Till = o.Earliest, o.At, o.Latest
	}
	all := []*tracked{t}
	for _, x := range m.tracked {
		if x == t || x.d.Environment != t.d.Environment || x.d.Service == t.d.Service || h.Till.Sub(x.d.StartedAt) > 72*time.Hour || h.Till.Before(x.d.StartedAt) {
			continue
		}
		if _, ok := m.calls.reach(t.d.Environment, t.d.Service, x.d.Service); ok {
			all = append(all, x)
		}
	}
	if len(all) == 1 {
		return nil
	}
	slices.SortFunc(all[1:], func(a, b *tracked) int {
		return cmp.Or(b.d.StartedAt.Compare(a.d.StartedAt), cmp.Compare(a.d.ID, b.d.ID))
	})
	all = all[:min(len(all), maxConcurrent)]
	h.Explained = map[string]float64{}
	if x := v.Exclusive; x != nil {
		h.Own = &x.Share
	}
	var deploys []suspect.Deploy
	for _, x := range all {
		d := suspect.Deploy{ID: x.d.ID, Service: x.d.Service, Ready: x.d.StartedAt, Nats: x.verdict.Nats}
		if !x.d.FirstSeenAt.IsZero() {
			d.Ready = x.d.FirstSeenAt
		}
		deploys = append(deploys, d)
		if x != t && v.Impact.Requests > 0 {
			h.Explained[x.d.Service] = min(m.calls.excess(t.d.Environment, t.d.Service, x.d.Service, h.Best)/v.Impact.Requests, 1)
		}
	}
	p, _ := suspect.Attribute(h, deploys, func(from, to string) (int, bool) { return m.calls.reach(t.d.Environment, from, to) })
	var out []event.DeploySuspect
	for i, x := range all {
		out = append(out, event.DeploySuspect{ID: x.d.ID, Service: x.d.Service, Version: x.d.Label(), Probability: p[i], Explained: h.Explained[x.d.Service]})
	}
	slices.SortStableFunc(out, func(a, b event.DeploySuspect) int { return cmp.Compare(b.Probability, a.Probability) })
	return out
}

// reach is how many calls lead from a service to another.
func (c *calls) reach(environment, from, to string) (hops int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, next := map[string]bool{to: true}, []string{to}
	for hops := range affectedHops + 1 {
		if slices.Contains(next, from) {
			return hops, true
		}
		var further []string
		for _, callee := range next {
			for _, caller := range c.byPlace[place{environment, callee}] {
				if !seen[caller] {
					seen[caller] = true
					further = append(further, caller)
				}
			}
		}
		next = further
	}
	return 0, false
}

// excess is how many calls failed since a time beyond the share of before.
func (c *calls) excess(environment, caller, callee string, since time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.byEdge[edge{environment, caller, callee}]
	if counts == nil {
		return 0
	}
	after, before := counts.since(since)
	if !fails(after, before) {
		return 0
	}
	return max(after.failed-before.failed/before.n*after.n, 0)
}
