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
	return Check{"alertmanager", Shown(s.URL), func(ctx context.Context) []Finding {
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
	defer func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp/2)
		defer cancel()
		s.endAlert(cleaning, test)
	}()
	if seen, f := s.waitForAlert(ctx, run, true); !seen {
		if f.Cause != "" {
			return f
		}
		return Fail(CauseAlertNotSeen, "the test alert was accepted and is not listed: another replica took it, or the clocks differ so that it counts as over",
			fmt.Sprintf("name each Alertmanager of the cluster in %s instead of a load balancer before them, and mend the clocks (NTP)", s.Key))
	}
	if got, err := s.endAlert(ctx, test); err != nil {
		return s.unreachable(err)
	} else if got.status/100 != 2 {
		return s.refused(got, "the end of the test alert")
	}
	if gone, f := s.waitForAlert(ctx, run, false); !gone {
		if f.Cause != "" {
			return f
		}
		return Fail(CauseAlertNotResolved, "the test alert was ended and is still firing: the clock of Alertmanager is behind this one",
			"mend the time there (NTP); the test alert ends by itself within half a minute")
	}
	return ok("a test alert was accepted, seen and resolved")
}

func (s Server) postAlert(ctx context.Context, a alert) (answer, error) {
	return s.call(ctx, http.MethodPost, "api/v2/alerts", nil, []alert{a})
}

func (s Server) endAlert(ctx context.Context, a alert) (answer, error) {
	a.EndsAt = time.Now()
	return s.postAlert(ctx, a)
}

// lookEvery is the pause between two looks at what should change.
const lookEvery = 100 * time.Millisecond

// waitForAlert looks until the alert is there, or gone.
func (s Server) waitForAlert(ctx context.Context, run string, there bool) (bool, Finding) {
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := url.Values{"filter": {`alertname="` + TestAlert + `"`, `run="` + run + `"`}}
	for {
		got, err := s.call(ctx, http.MethodGet, "api/v2/alerts", query, nil)
		if err != nil {
			return false, s.unreachable(err)
		}
		var list []alert
		if got.status/100 != 2 || json.Unmarshal(got.body, &list) != nil {
			return false, s.refused(got, "to list its alerts")
		}
		if (len(list) > 0) == there {
			return true, Finding{}
		}
		select {
		case <-limit.Done():
			return false, Finding{}
		case <-time.After(lookEvery):
		}
	}
}
