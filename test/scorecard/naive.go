package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/backtest"
	"github.com/deployloop/deployloop/internal/event"
)

// naiveRule blames a release when, over the minutes after it, the success of one
// of its service's edges fell by a point or its latency rose above 1.5 times
// that of before: all instances, old and new, as a dashboard shows them.
func naiveRule(file string, deploys []backtest.Deploy) (blamed map[string]bool, err error) {
	type attribute struct {
		Key   string
		Value struct{ StringValue string }
	}
	type line struct {
		ResourceMetrics []struct {
			Resource     struct{ Attributes []attribute }
			ScopeMetrics []struct {
				Metrics []struct {
					Name  string
					Gauge struct {
						DataPoints []struct {
							TimeUnixNano string
							AsDouble     float64
							Attributes   []attribute
						}
					}
				}
			}
		}
	}
	of := func(list []attribute, key string) string {
		for _, a := range list {
			if a.Key == key {
				return a.Value.StringValue
			}
		}
		return ""
	}
	type key struct{ service, name, client string }
	type sums struct{ n, sum [2]float64 } // before and after
	started := map[string]time.Time{}
	for _, d := range deploys {
		started[d.Service] = d.StartedAt
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	edges := map[key]*sums{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, err
		}
		for _, resource := range l.ResourceMetrics {
			service := of(resource.Resource.Attributes, "service.name")
			at, released := started[service]
			if !released {
				continue
			}
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					for _, p := range m.Gauge.DataPoints {
						if of(p.Attributes, "server") != service {
							continue
						}
						nanos, err := strconv.ParseInt(p.TimeUnixNano, 10, 64)
						if err != nil {
							return nil, err
						}
						k := key{service, m.Name, of(p.Attributes, "client")}
						if edges[k] == nil {
							edges[k] = &sums{}
						}
						side := 0
						if !time.Unix(0, nanos).Before(at) {
							side = 1
						}
						edges[k].n[side]++
						edges[k].sum[side] += p.AsDouble
					}
				}
			}
		}
	}
	blamed = map[string]bool{}
	for k, e := range edges {
		if e.n[0] == 0 || e.n[1] == 0 {
			continue
		}
		before, after := e.sum[0]/e.n[0], e.sum[1]/e.n[1]
		switch k.name {
		case "edge.success_ratio":
			blamed[k.service] = blamed[k.service] || after <= before-.01
		case "edge.latency":
			blamed[k.service] = blamed[k.service] || after > 1.5*before
		}
	}
	return blamed, lines.Err()
}

// calls are what was called of recorded incidents, by us and by the naive rule.
type calls struct {
	incidents, right, blamed, good int
	ruledRight, ruledBlamed        int
}

// callsOf counts an incident as called when some deployment of it is regressed,
// and as right when that is the defective one alone.
func callsOf(list []rollout) (c calls) {
	for _, r := range list {
		c.good += r.deploys - 1
		c.blamed += len(r.blamed)
		found := r.verdict == string(event.Regressed)
		if found || len(r.blamed) > 0 {
			c.incidents++
		}
		if found && len(r.blamed) == 0 {
			c.right++
		}
		for service, is := range r.ruled {
			switch {
			case !is:
			case service == r.defective:
				c.ruledRight++
			default:
				c.ruledBlamed++
			}
		}
	}
	return c
}
