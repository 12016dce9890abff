package digest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

var midnight = time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)

func deploy(l *ledger.Ledger, service string, at time.Time, state event.VerdictState) event.Deployment {
	d, _ := l.RecordDeployment(event.Deployment{Service: service, Environment: "production", Version: "2", StartedAt: at,
		FirstSeenAt: at.Add(time.Second), Sources: []event.Source{{Name: "api", At: at}}})
	if state != "" {
		l.RecordVerdict(event.Verdict{Deployment: d, State: state, At: at.Add(time.Minute)})
	}
	return d
}

func alerted(l *ledger.Ledger, d event.Deployment, mode event.Mode, kind event.AnomalyKind) string {
	a := event.Anomaly{ID: event.AnomalyID(d.ID, kind, "", ""), Kind: kind, Service: d.Service, Environment: d.Environment, Deployment: d.ID,
		Severity: event.SeverityWarning, Mode: mode, StartsAt: d.StartedAt, DetectedAt: d.StartedAt.Add(time.Minute), At: d.StartedAt.Add(time.Minute), Open: true}
	l.RecordAnomaly(a)
	return a.ID
}

func ids(list []event.DigestAlert) (out []string) {
	for _, a := range list {
		out = append(out, a.ID)
	}
	return out
}

func TestADayInSum(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	day := midnight.Add(24 * time.Hour)
	old := alerted(l, deploy(l, "old", midnight.Add(-48*time.Hour), event.Regressed), event.Advise, event.KindDeployment)
	deploy(l, "yesterday", midnight.Add(-time.Minute), event.Healthy)
	deploy(l, "fine", midnight, event.Healthy)
	quiet := deploy(l, "quiet", midnight.Add(time.Hour), event.Regressed)
	would := alerted(l, quiet, event.Shadow, event.KindDeployment)
	alerted(l, quiet, event.Shadow, event.KindSymptom)
	loud := alerted(l, deploy(l, "loud", midnight.Add(2*time.Hour), event.Regressed), event.Gate, event.KindDeployment)
	require.True(t, l.CloseAnomaly(loud, event.Closure{Reason: event.ClosedRolledBack, Detail: "rolled back to 1", At: midnight.Add(3 * time.Hour)}))
	deploy(l, "young", day.Add(-time.Minute), "")
	deploy(l, "tomorrow", day, event.Regressed)
	l.RecordDeployment(event.Deployment{Service: "ghost", Environment: "production", Version: "2", StartedAt: day.Add(-time.Hour), Sources: []event.Source{{Name: "api", At: day}}})
	silence := &event.Silence{ID: "s", By: "ada", Comment: "known", Until: day.Add(time.Hour)}
	l.RecordSilence(old, silence)

	d := Of(l, midnight, day)
	assert.Equal(t, 5, d.Deployments)
	assert.Equal(t, []event.VerdictCount{{Verdict: event.Regressed, Count: 2}, {Verdict: event.Healthy, Count: 1}, {Count: 2}}, d.Verdicts)
	assert.Equal(t, []string{would}, ids(d.WouldAlert), "without its symptom")
	assert.Equal(t, []string{loud}, ids(d.Alerted))
	assert.Equal(t, []string{old, would}, ids(d.Unclosed), "whenever it was found, oldest first")
	assert.Equal(t, silence, d.Unclosed[0].Silence)
	assert.Equal(t, []event.ClosureCount{{Reason: event.ClosedRolledBack, Count: 1}}, d.Closed)
	require.Len(t, d.Notices, 1)
	assert.Equal(t, event.NoticePhantom, d.Notices[0].Kind)

	text := wording.Digest(d)
	assert.Contains(t, text, "2026-03-04 00:00Z to 2026-03-05 00:00Z: 5 deployments watched, 1 alerted, 1 would have alerted, 2 alerts open\n")
	assert.Contains(t, text, "verdicts: 2 regressed, 1 healthy, 2 not judged\nclosed: 1 rolled back\n")
	assert.Contains(t, text, "silenced until 2026-03-05 01:00Z by ada: known\n")
	assert.Contains(t, text, "Rolled back to 1")
	assert.Contains(t, text, "  phantom       ghost 2 was deployed to production")

	before := Of(l, midnight, midnight.Add(150*time.Minute))
	assert.Contains(t, ids(before.Unclosed), loud, "it closed later")
	assert.Nil(t, before.Alerted[0].Closure)
}

func TestListsAreCutAndSaySo(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	for i := range maxListed + 7 {
		alerted(l, deploy(l, fmt.Sprint("s", i), midnight.Add(time.Duration(i)*time.Minute), event.Regressed), event.Shadow, event.KindDeployment)
	}
	d := Of(l, midnight, midnight.Add(24*time.Hour))
	assert.Len(t, d.WouldAlert, maxListed)
	assert.Equal(t, []event.DigestMissing{{List: "would_have_alerted", Count: 7}, {List: "unclosed", Count: 7}}, d.More)
	text := wording.Digest(d)
	assert.Contains(t, text, "57 would have alerted, 57 alerts open")
	assert.Contains(t, text, "7 more in would have alerted\n")
}

func TestAnEmptyDay(t *testing.T) {
	assert.Equal(t, "2026-03-04 00:00Z to 2026-03-05 00:00Z: 0 deployments watched, 0 would have alerted, nothing open\n",
		wording.Digest(Of(ledger.New(ledger.Limits{}), midnight, midnight.Add(24*time.Hour))))
}
