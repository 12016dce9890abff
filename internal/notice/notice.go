// Package notice finds what the ledger knows of deployments and nobody said: a
// new version that no deploy source told of, a deployment whose telemetry does
// not come, a version that serves nothing. Pure; the metric, the event, the page
// and the digest share it.
package notice

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

const (
	// untrackedAfter is how long a deploy source may lag behind the telemetry
	// of what it deployed.
	untrackedAfter = 15 * time.Minute
	// phantomAfter is how long a rollout may take to bring its first telemetry.
	phantomAfter = 10 * time.Minute
	// darkAfter is how long a version may run before it gets traffic.
	darkAfter = 10 * time.Minute
	// enoughRequests of the control show that the service has traffic at all.
	enoughRequests = 20
	// Span is how far back deployments are looked at: as long as one is watched.
	Span = 25 * time.Hour
	// maxDeployments bounds one look, newest first.
	maxDeployments = 10_000
)

// Look walks deployments from the newest to the oldest; each is asked about
// once, in that order.
type Look struct {
	now   time.Time
	newer map[[2]string]bool // by service and environment: a later deployment was seen in telemetry
	any   map[[2]string]bool // by service and environment: there is a later deployment
}

// At begins a look.
func At(now time.Time) *Look {
	return &Look{now: now, newer: map[[2]string]bool{}, any: map[[2]string]bool{}}
}

// Of is what nobody said of d; v is its verdict, nil if there is none.
func (l *Look) Of(d event.Deployment, v *event.Verdict) (event.Notice, bool) {
	place := [2]string{d.Service, d.Environment}
	replaced, last := l.newer[place], !l.any[place]
	l.any[place] = true
	l.newer[place] = replaced || !d.FirstSeenAt.IsZero()
	if d.Baseline || l.now.Sub(d.StartedAt) > Span {
		return event.Notice{}, false
	}
	n := event.Notice{Deployment: d.ID, Service: d.Service, Environment: d.Environment, Version: d.Version, Revision: d.Revision,
		Since: d.StartedAt, At: l.now, Open: true}
	ended := d.Status == event.DeploymentFailed || d.Status == event.DeploymentRolledBack
	switch {
	case inferred(d) && l.now.Sub(d.StartedAt) > untrackedAfter:
		n.Kind = event.NoticeUntracked
	case d.FirstSeenAt.IsZero() && !ended && !replaced && l.now.Sub(d.StartedAt) > phantomAfter:
		n.Kind = event.NoticePhantom
	case dark(d, v, l.now) && last && !ended:
		n.Kind, n.Since = event.NoticeDark, d.FirstSeenAt
	default:
		return event.Notice{}, false
	}
	var requests float64
	if v != nil {
		requests = v.OldRequests
	}
	n.Detail = wording.Notice(n.Kind, d, requests)
	return n, true
}

// Find lists what holds now, the newest deployment first, at most limit; more
// is how many did not fit.
func Find(reader ledger.Reader, now time.Time, limit int) (list []event.Notice, more int) {
	look := At(now)
	for _, d := range reader.Deployments(ledger.Query{Since: now.Add(-Span), Limit: maxDeployments}) {
		var verdict *event.Verdict
		if v, ok := reader.Verdict(d.ID); ok {
			verdict = &v
		}
		n, ok := look.Of(d, verdict)
		switch {
		case !ok:
		case len(list) >= limit:
			more++
		default:
			list = append(list, n)
		}
	}
	return list, more
}

// inferred tells a deployment that only telemetry speaks of.
func inferred(d event.Deployment) bool {
	return !slices.ContainsFunc(d.Sources, func(s event.Source) bool { return s.Name != ledger.SourceTelemetry })
}

func dark(d event.Deployment, v *event.Verdict, now time.Time) bool {
	return v != nil && !d.FirstSeenAt.IsZero() && now.Sub(d.FirstSeenAt) > darkAfter &&
		v.NewRequests == 0 && v.OldRequests >= enoughRequests && v.At.Sub(d.FirstSeenAt) > darkAfter
}
