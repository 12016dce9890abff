package forgeexporter

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/wording"
)

// told is what is known of one deployment: its verdict, and how its alert
// closed, if it did.
type told struct {
	verdict event.Verdict
	closure *event.Closure
}

// statusOf is the commit status of a deployment: a pure function, so that two
// replicas and a restart write the same. Only healthy and exonerated are green.
func statusOf(t told, consoleURL string, inconclusive forgeapi.State) forgeapi.Status {
	v := t.verdict
	s := forgeapi.Status{
		Context:     "deployloop/" + wording.OneLine(v.Deployment.Environment, 80) + "/" + wording.OneLine(v.Deployment.Service, 80),
		State:       forgeapi.Pending,
		Description: wording.Headline(v),
		TargetURL:   consoleLink(consoleURL, v.Deployment.ID),
	}
	switch v.State {
	case event.Watching:
		s.Description = "watching " + wording.OneLine(v.Deployment.Label(), 60)
		if left := remaining(v); left > 0 {
			s.Description += ", " + short(left) + " left"
		}
	case event.Healthy:
		s.State = forgeapi.Success
	case event.Exonerated:
		s.State, s.Description = forgeapi.Success, wording.Reason(v)
	case event.Regressed:
		s.State = forgeapi.Failure
		s.Description = wording.Summary(event.Anomaly{
			Kind: event.KindDeployment, Service: v.Deployment.Service, Environment: v.Deployment.Environment,
			Commit: v.Deployment.Revision, Verdict: &v,
		})
	case event.Inconclusive:
		s.State, s.Description = inconclusive, wording.Reason(v)
		if v.Reason == event.ReasonNotWatched {
			s.State = forgeapi.Error // nobody would ever write it again
		}
	}
	if t.closure != nil && v.State == event.Regressed {
		// The commit stays the one that did harm, however the harm ended.
		s.Description = wording.Resolution(*t.closure)
		if t.closure.Reason == event.ClosedExonerated {
			s.State = forgeapi.Success
		}
	}
	if v.Calibrating && v.State != event.Watching {
		s.Description = wording.Clip(s.Description, forgeapi.DescriptionLimit-16) + " (provisional)"
	}
	s.Description = wording.OneLine(s.Description, forgeapi.DescriptionLimit)
	return s
}

// remaining is how long a watch still lasts, in steps that grow with it, so
// that a heartbeat is not a write: minutes below five, then fives, then hours.
func remaining(v event.Verdict) time.Duration {
	left := v.ETA
	if v.WatchedTill.After(v.At) {
		left = v.WatchedTill.Sub(v.At)
	}
	step := time.Minute
	switch {
	case left <= 0:
		return 0
	case left > time.Hour:
		step = time.Hour
	case left > 5*time.Minute:
		step = 5 * time.Minute
	}
	return (left + step - 1).Truncate(step)
}

// short writes a whole number of minutes or hours: "4m", "1h".
func short(d time.Duration) string {
	if d >= time.Hour {
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// statusKey is what a status says, without figures that move with every
// heartbeat: the same key is not written twice.
func statusKey(t told) string {
	left := ""
	if t.verdict.State == event.Watching {
		left = remaining(t.verdict).String()
	}
	return stateKey(t) + "\x00" + left
}

// watchingKey begins the key of a watch that goes on.
func watchingKey(deployment string) string {
	return deployment + "\x00" + string(event.Watching) + "\x00"
}

// stateKey tells apart the states that people must hear of.
func stateKey(t told) string {
	parts := []string{t.verdict.Deployment.ID, string(t.verdict.State), string(t.verdict.Reason)}
	if c := t.closure; c != nil {
		parts = append(parts, string(c.Reason), c.Detail, c.Revision, c.By)
	}
	return strings.Join(parts, "\x00")
}

func consoleLink(consoleURL, deployment string) string {
	if consoleURL == "" {
		return ""
	}
	return strings.TrimRight(consoleURL, "/") + "/deployments/" + url.PathEscape(deployment)
}
