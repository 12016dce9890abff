package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Seconds is a duration as people and JSON read it.
type Seconds time.Duration

// MarshalJSON gives seconds with two decimals.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(time.Duration(s).Round(10*time.Millisecond)) / float64(time.Second))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var n float64
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	*s = Seconds(n * float64(time.Second))
	return nil
}

func (s Seconds) String() string {
	return fmt.Sprintf("%.1f s", time.Duration(s).Seconds())
}

// Result is what a run of the loop showed, and how long each part took.
type Result struct {
	Fault        string `json:"fault"`
	Passed       bool   `json:"passed"`
	Alertmanager string `json:"alertmanager"`

	GoodDeployment string             `json:"good_deployment"`
	GoodVerdict    event.VerdictState `json:"good_verdict"`
	GoodSilent     bool               `json:"good_silent"`

	NewFailure  string  `json:"new_failure"` // of the pull request's tests
	KnownFlaky  string  `json:"known_flaky"`
	PushToHeard Seconds `json:"push_to_feedback_seconds"`

	BadDeployment string             `json:"bad_deployment"`
	Verdict       event.VerdictState `json:"verdict"`
	Reason        event.Reason       `json:"reason"`
	Control       event.ControlKind  `json:"control"`
	Nats          float64            `json:"nats"`

	Culprit    string  `json:"culprit"` // the commit that went wrong
	Suspect    string  `json:"suspect"` // the commit that was named first
	Confidence float64 `json:"confidence"`
	Abstained  bool    `json:"abstained"`

	Alert   string              `json:"alert"` // its summary
	Closure event.ClosureReason `json:"closure"`

	StartToVerdict    Seconds `json:"start_to_verdict_seconds"`
	DeployToVerdict   Seconds `json:"deploy_to_verdict_seconds"`    // from the first new instance
	FirstBadToVerdict Seconds `json:"first_bad_to_verdict_seconds"` // from the first bad request; 0: the verdict names none
	DeployToAlert     Seconds `json:"deploy_to_alert_seconds"`      // until the person on call is told
	VerdictToAlert    Seconds `json:"verdict_to_alert_seconds"`     // 0: the alert came before the demo next asked for the verdict
	RollbackToResolve Seconds `json:"rollback_to_resolved_seconds"` // from the rollback's begin

	Requests   int64 `json:"requests"`
	Failed     int64 `json:"requests_failed"`
	TurnedAway int64 `json:"requests_turned_away"` // by the load's own bound

	Stack *StackResult `json:"stack,omitempty"` // of the Prometheus beside it

	Problems []string `json:"problems,omitempty"` // what the loop did not do
}

// check says what the loop had to do and did not.
func (r *Result) check() {
	missed := func(wrong bool, format string, args ...any) {
		if wrong {
			r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
		}
	}
	missed(!r.GoodSilent, "the good deployment %s was called %s or raised an alert", r.GoodDeployment, r.GoodVerdict)
	missed(!strings.HasPrefix(r.NewFailure, moneyTest), "the pull request's new failure was not told (%q)", r.NewFailure)
	missed(r.KnownFlaky != flakyTest, "the flaky test was not told from it (%q)", r.KnownFlaky)
	missed(r.Verdict != event.Regressed, "the bad deployment was not called regressed")
	missed(r.Alert == "", "no alert fired")
	missed(r.RollbackToResolve == 0, "the alert did not resolve")
	missed(r.Closure != event.ClosedRolledBack, "the alert closed as %q, not as %q", r.Closure, event.ClosedRolledBack)
	named := r.Suspect == r.Culprit && !r.Abstained
	honest := r.Abstained && mayAbstain(r.Fault)
	missed(!named && !honest, "the commit %s was not named (first suspect %s, abstained %t)",
		event.ShortRevision(r.Culprit), event.ShortRevision(r.Suspect), r.Abstained)
	if r.Stack != nil {
		r.Problems = append(r.Problems, r.Stack.check()...)
	}
	r.Passed = len(r.Problems) == 0
}

// mayAbstain: a regression in speed carries no stack or log line that points
// into code, so naming no commit is an honest answer there.
func mayAbstain(fault string) bool { return fault == "latency" || fault == "slow-leak" }

// Err is nil when the loop did all that it had to.
func (r *Result) Err() error {
	var errs []error
	for _, p := range r.Problems {
		errs = append(errs, errors.New(p))
	}
	return errors.Join(errs...)
}
