package anomalyconnector

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/event"
)

// calls are who calls whom, and how many calls failed, over the last quarter of
// an hour, as callers' spans tell: what is known of services that nobody
// deployed.
type calls struct {
	mu      sync.Mutex
	byEdge  map[edge]*callCounts
	byPlace map[place][]string // callers, by who is called
	refused *counters
}

type edge struct{ environment, caller, callee string }

type place struct{ environment, service string }

const (
	maxEdges     = 2000
	callBins     = 90
	callBin      = 10 // seconds
	lossCalls    = "calls_over_limit"
	maxAffected  = 5 // callers told of one deployment
	affectedHops = 3
	// A caller is affected when its calls fail more often than before by what
	// chance does not explain: four standard deviations, three failed calls, and
	// half a percentage point.
	affectedDeviations = 4
	affectedFailed     = 3
	affectedRise       = .005
)

// callCounts is a ring of bins by time.
type callCounts struct {
	bin       [callBins]int64 // which ten seconds of Unix time each holds
	n, failed [callBins]float64
}

func (c *callCounts) add(at int64, failed bool, w float64) {
	k := at / int64(time.Second) / callBin
	i := int(((k % callBins) + callBins) % callBins)
	if c.bin[i] > k {
		return // older than what is kept
	}
	if c.bin[i] < k {
		c.bin[i], c.n[i], c.failed[i] = k, 0, 0
	}
	c.n[i] += w
	if failed {
		c.failed[i] += w
	}
}

// since splits the counts at a time: the bin that it lies in belongs to neither.
func (c *callCounts) since(at time.Time) (n, failed, nBefore, failedBefore float64) {
	k := at.Unix() / callBin
	for i, bin := range c.bin {
		switch {
		case bin > k:
			n, failed = n+c.n[i], failed+c.failed[i]
		case bin > 0 && bin < k:
			nBefore, failedBefore = nBefore+c.n[i], failedBefore+c.failed[i]
		}
	}
	return n, failed, nBefore, failedBefore
}

// peerNames tell who is called, best first; an address counts by its first label.
var peerNames = [...]string{"service.peer.name", "peer.service", "server.address", "net.peer.name"}

func calleeOf(attributes pcommon.Map) string {
	best, rank := "", len(peerNames)
	for key, value := range attributes.All() {
		if key == "" || key[0] != 's' && key[0] != 'p' && key[0] != 'n' {
			continue
		}
		for i, name := range peerNames[:rank] {
			if key == name {
				best, rank = value.AsString(), i
				break
			}
		}
	}
	if rank >= 2 { // an address
		if strings.ContainsAny(best, ":/") || strings.Trim(best, "0123456789.") == "" {
			return "" // a number is nobody's name
		}
		best, _, _ = strings.Cut(best, ".")
	}
	return best
}

// add counts one call of a client's or producer's span.
func (c *calls) add(environment, caller string, span ptrace.Span, w float64) {
	callee := calleeOf(span.Attributes())
	if callee == "" || callee == caller {
		return
	}
	if w == 0 {
		w = 1
	}
	if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
		return
	}
	e := edge{environment, caller, callee}
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.byEdge[e]
	if counts == nil {
		if len(c.byEdge) >= maxEdges {
			c.refused.add(lossCalls, 1)
			return
		}
		e.callee = strings.Clone(e.callee)
		counts = &callCounts{}
		if c.byEdge == nil {
			c.byEdge, c.byPlace = map[edge]*callCounts{}, map[place][]string{}
		}
		c.byEdge[e] = counts
		at := place{e.environment, e.callee}
		c.byPlace[at] = append(c.byPlace[at], e.caller)
	}
	counts.add(int64(span.EndTimestamp()), span.Status().Code() == ptrace.StatusCodeError, w)
}

// affected are the callers of a service whose calls fail more since a time, and
// theirs in turn, the hardest hit first.
func (c *calls) affected(environment, service string, since time.Time) []event.Affected {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []event.Affected
	seen, next := map[string]bool{service: true}, []string{service}
	for range affectedHops {
		var further []string
		for _, callee := range next {
			for _, caller := range c.byPlace[place{environment, callee}] {
				if seen[caller] {
					continue
				}
				n, failed, nBefore, failedBefore := c.byEdge[edge{environment, caller, callee}].since(since)
				if !fails(n, failed, nBefore, failedBefore) {
					continue
				}
				seen[caller] = true
				further = append(further, caller)
				a := event.Affected{Service: caller, Calls: callee, Requests: n, Failed: failed, Share: failed / n}
				if nBefore > 0 {
					a.Before = failedBefore / nBefore
				}
				found = append(found, a)
			}
		}
		next = further
	}
	slices.SortFunc(found, func(a, b event.Affected) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Service, b.Service))
	})
	return found[:min(len(found), maxAffected)]
}

// fails compares two shares of failed calls.
func fails(n, failed, nBefore, failedBefore float64) bool {
	if failed < affectedFailed || n == 0 || nBefore == 0 {
		return false
	}
	share, before := failed/n, failedBefore/nBefore
	pooled := (failed + failedBefore + 1) / (n + nBefore + 2)
	deviation := math.Sqrt(pooled * (1 - pooled) * (1/n + 1/nBefore))
	return share-before >= affectedRise && share-before >= affectedDeviations*deviation
}

// affected are the callers that feel a regression. Once the time before the
// onset is forgotten, what was found last stands.
func (m *monitor) affected(t *tracked, v event.Verdict) []event.Affected {
	if v.State != event.Regressed {
		return nil
	}
	since := v.RegressedAt
	if v.Onset != nil {
		since = v.Onset.At
	}
	if found := m.calls.affected(v.Deployment.Environment, v.Deployment.Service, since); len(found) > 0 {
		t.affected = found
	}
	return t.affected
}
