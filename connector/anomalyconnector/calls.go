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
	swept   int64 // the bin of time in which silent edges were last forgotten
}

type edge struct{ environment, caller, callee string }

type place struct{ environment, service string }

const (
	maxEdges     = 2000
	callBins     = 90
	callBin      = 10   // seconds
	maxCallShare = 1000 // calls that one kept span may speak for
	lossCalls    = "calls_over_limit"
	lossAhead    = "calls_clock_ahead"
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
	bin  [callBins]int64 // which ten seconds of Unix time each holds
	sum  [callBins]callSum
	last int64 // the newest bin
}

// callSum counts calls by their weights: how many calls each that was seen
// speaks for.
type callSum struct{ n, failed, squares float64 }

func (s *callSum) add(o callSum) {
	s.n, s.failed, s.squares = s.n+o.n, s.failed+o.failed, s.squares+o.squares
}

// seen is how many calls of one weight would tell as much.
func (s callSum) seen() (n, failed float64) {
	if s.squares == 0 {
		return 0, 0
	}
	each := s.squares / s.n
	return s.n / each, s.failed / each
}

// callBinOf is the bin of a time.
func callBinOf(ns int64) int64 { return ns / int64(time.Second) / callBin }

// add counts a call; newest is the bin of what may come now.
func (c *callCounts) add(k, newest int64, call callSum) {
	i := int(((k % callBins) + callBins) % callBins)
	if c.bin[i] > k && c.bin[i] <= newest {
		return // older than what is kept
	}
	if c.bin[i] != k {
		c.bin[i], c.sum[i] = k, callSum{}
	}
	c.sum[i].add(call)
	c.last = min(max(c.last, k), newest)
}

// since splits the counts at a time: the bin that it lies in belongs to neither.
func (c *callCounts) since(at time.Time) (after, before callSum) {
	k := at.Unix() / callBin
	for i, bin := range c.bin {
		switch {
		case bin > k:
			after.add(c.sum[i])
		case bin > 0 && bin < k:
			before.add(c.sum[i])
		}
	}
	return after, before
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
func (c *calls) add(now time.Time, environment, caller string, span ptrace.Span, w float64) {
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
	w = min(w, maxCallShare)
	e := edge{environment, caller, callee}
	k, newest := callBinOf(int64(span.EndTimestamp())), callBinOf(now.Add(maxAhead).UnixNano())
	if k > newest {
		c.refused.add(lossAhead, 1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.byEdge[e]
	if counts == nil {
		if len(c.byEdge) >= maxEdges && c.swept != newest {
			c.swept = newest
			c.forget(newest - callBins)
		}
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
	call := callSum{n: w, squares: w * w}
	if span.Status().Code() == ptrace.StatusCodeError {
		call.failed = w
	}
	counts.add(k, newest, call)
}

// forget lets go of the edges that were silent since a bin. The lock is held.
func (c *calls) forget(since int64) {
	for e, counts := range c.byEdge {
		if counts.last >= since {
			continue
		}
		delete(c.byEdge, e)
		at := place{e.environment, e.callee}
		c.byPlace[at] = slices.DeleteFunc(c.byPlace[at], func(caller string) bool { return caller == e.caller })
		if len(c.byPlace[at]) == 0 {
			delete(c.byPlace, at)
		}
	}
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
				after, before := c.byEdge[edge{environment, caller, callee}].since(since)
				if !fails(after, before) {
					continue
				}
				seen[caller] = true
				further = append(further, caller)
				found = append(found, event.Affected{Service: caller, Calls: callee, Requests: after.n, Failed: after.failed,
					Share: after.failed / after.n, Before: before.failed / before.n})
			}
		}
		next = further
	}
	slices.SortFunc(found, func(a, b event.Affected) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Service, b.Service))
	})
	return found[:min(len(found), maxAffected)]
}

// fails compares two shares of failed calls. Chance is that of the calls that
// were seen, however many each speaks for.
func fails(after, earlier callSum) bool {
	n, failed := after.seen()
	nBefore, failedBefore := earlier.seen()
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
