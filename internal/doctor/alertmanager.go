package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// TestAlert is the alertname of the alert by which Alertmanager is tested.
const TestAlert = "DeployloopDoctor"

// testAlertLife ends the test alert where doctor cannot: it was killed, or the
// Alertmanager went away.
const testAlertLife = 30 * time.Second

// Alertmanager posts a test alert, looks whether it is there, ends it, and sees
// it gone. That takes less than the group_wait of any ordinary route, and an
// alert that ended before is not notified. labels are those of every alert.
func Alertmanager(s Server, labels map[string]string) Check {
	return Check{"alertmanager", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		return []Finding{s.testAlert(ctx, labels)}
	}}
}

// alert as Alertmanager's API v2 has it.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func (s Server) testAlert(ctx context.Context, labels map[string]string) Finding {
	began := time.Now()
	test := alert{Labels: map[string]string{}, StartsAt: began, EndsAt: began.Add(testAlertLife), Annotations: map[string]string{
		"summary": "deployloop doctor tests the way to this Alertmanager; nothing is wrong, and it ends by itself",
	}}
	for name, value := range labels {
		test.Labels[name] = value
	}
	run := strings.ToLower(rand.Text())
	test.Labels["alertname"], test.Labels["severity"], test.Labels["run"] = TestAlert, "none", run

	got, err := s.postAlert(ctx, test)
	if err != nil {
		return s.unreachable(err)
	}
	if got.status/100 != 2 || got.isHTML() {
		return s.refused(got, "a test alert")
	}
	// From here on it is ended whatever comes, also after ctx.
	ended := false
	defer func() {
		if !ended {
			cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp/2)
			defer cancel()
			_, _ = s.endAlert(cleaning, test, 0) // the finding tells what is wrong already
		}
	}()
	seen, behind, f := s.waitForAlert(ctx, test, true)
	switch {
	case f.Cause != "":
		return f
	case !seen:
		return Fail(CauseAlertNotSeen, "the test alert was accepted and is not listed: another replica took it, or the clocks differ so that it counts as over",
			fmt.Sprintf("name each Alertmanager of the cluster in %s instead of a load balancer before them, and mend the clocks (NTP)", s.Key))
	}
	if got, err = s.endAlert(ctx, test, behind); err != nil {
		return s.unreachable(err)
	} else if got.status/100 != 2 {
		return s.refused(got, "the end of the test alert")
	}
	gone, _, f := s.waitForAlert(ctx, test, false)
	switch {
	case f.Cause != "":
		return f
	case !gone:
		return Fail(CauseAlertNotResolved, "the test alert was ended and is still firing: the end went to another replica, or its clock is behind",
			fmt.Sprintf("name each Alertmanager of the cluster in %s, and mend the clocks (NTP); the test alert ends by itself", s.Key))
	}
	ended = true
	return ok("a test alert was accepted, seen and resolved")
}

func (s Server) postAlert(ctx context.Context, a alert) (answer, error) {
	return s.call(ctx, http.MethodPost, "api/v2/alerts", nil, []alert{a})
}

// endAlert ends it by the clock of an Alertmanager that is behind: what ends in
// its future goes on firing.
func (s Server) endAlert(ctx context.Context, a alert, behind time.Duration) (answer, error) {
	a.EndsAt = time.Now().Add(-behind)
	if !a.StartsAt.Before(a.EndsAt) {
		a.StartsAt = a.EndsAt.Add(-time.Second)
	}
	return s.postAlert(ctx, a)
}

// lookEvery is the pause between two looks at what should change.
const lookEvery = 100 * time.Millisecond

// waitForAlert looks until the alert is there, or gone; behind is how far the
// clock of the Alertmanager that took it is behind this one.
func (s Server) waitForAlert(ctx context.Context, test alert, there bool) (is bool, behind time.Duration, f Finding) {
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := url.Values{"filter": {`alertname="` + TestAlert + `"`, `run="` + test.Labels["run"] + `"`}}
	for {
		got, err := s.call(ctx, http.MethodGet, "api/v2/alerts", query, nil)
		if err != nil {
			return false, 0, s.unreachable(err)
		}
		var list []struct {
			UpdatedAt time.Time `json:"updatedAt"` // by its own clock
		}
		if got.status/100 != 2 || json.Unmarshal(got.body, &list) != nil {
			return false, 0, s.refused(got, "to list its alerts")
		}
		if (len(list) > 0) == there {
			if there && !list[0].UpdatedAt.IsZero() {
				behind = max(0, test.StartsAt.Sub(list[0].UpdatedAt))
			}
			return true, behind, Finding{}
		}
		select {
		case <-limit.Done():
			return false, 0, Finding{}
		case <-time.After(lookEvery):
		}
	}
}
