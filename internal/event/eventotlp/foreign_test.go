package eventotlp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// Records that others wrote: deprecated spellings, resource attributes, gaps.
func TestDecodeDeploymentOfOthers(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC)
	cases := []struct {
		name     string
		resource map[string]any
		record   map[string]any
		want     event.Deployment
		err      string
	}{
		{
			name:     "everything on the resource",
			resource: map[string]any{"service.name": "checkout", "service.version": "1.42.0", "deployment.environment.name": "production", "vcs.ref.head.revision": "9f2c1ab"},
			want:     event.Deployment{Service: "checkout", Version: "1.42.0", Environment: "production", Revision: "9f2c1ab", StartedAt: at},
		},
		{
			name:   "deprecated spellings",
			record: map[string]any{"service.name": "checkout", "deployment.environment": "staging", "vcs.repository.ref.revision": "9f2c1ab", "deployment.status": "succeeded"},
			want:   event.Deployment{Service: "checkout", Environment: "staging", Revision: "9f2c1ab", Status: "succeeded", StartedAt: at, FinishedAt: at},
		},
		{
			name:     "the tool's own version is not the deployed one",
			resource: map[string]any{"service.name": "spinnaker", "service.version": "7.0", "deployment.environment.name": "production"},
			record:   map[string]any{"service.name": "checkout", "vcs.ref.head.revision": "9f2c1ab"},
			want:     event.Deployment{Service: "checkout", Environment: "production", Revision: "9f2c1ab", StartedAt: at},
		},
		{
			name:   "a version that is a number, a repository by its parts, no environment",
			record: map[string]any{"service.name": "checkout", "service.version": 42, "vcs.owner.name": "acme", "vcs.repository.name": "shop", "deployloop.source": "kafka"},
			want: event.Deployment{
				Service: "checkout", Environment: "default", Version: "42", Repository: "acme/shop", StartedAt: at,
				Sources: []event.Source{{Name: "kafka", At: at}},
			},
		},
		{name: "no service", record: map[string]any{"service.version": "1"}, err: "service.name"},
		{name: "nothing deployed", record: map[string]any{"service.name": "checkout"}, err: "vcs.ref.head.revision"},
		{name: "a structure for a name", record: map[string]any{"service.name": map[string]any{"a": 1}}, err: "attribute service.name: want a string, got Map"},
		{name: "a time that is none", record: map[string]any{"service.name": "c", "service.version": "1", "deployloop.deployment.started_at": "yesterday"}, err: `want an RFC 3339 time, got "yesterday"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			resource, record := pcommon.NewResource(), plog.NewLogRecord()
			require.NoError(t, resource.Attributes().FromRaw(c.resource))
			require.NoError(t, record.Attributes().FromRaw(c.record))
			record.SetTimestamp(pcommon.NewTimestampFromTime(at))
			got, err := DecodeDeployment(resource, record)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestNameAcceptsTheDeprecatedAttribute(t *testing.T) {
	record := plog.NewLogRecord()
	require.Empty(t, Name(record))
	record.Attributes().PutStr("event.name", event.NameDeployment)
	require.Equal(t, event.NameDeployment, Name(record))
	record.SetEventName(event.NameChange)
	require.Equal(t, event.NameChange, Name(record))
}

func TestWhatBackEndsFilterBy(t *testing.T) {
	record := plog.NewLogRecord()
	EncodeVerdict(event.Verdict{
		Deployment: event.Deployment{ID: "d1", Service: "checkout", Environment: "production", Revision: "9f2c1ab", Version: "1.42.0", Repository: "https://git.example/acme/shop.git"},
		State:      event.Regressed, Reason: event.ReasonEvidenceOfHarm, Mode: event.Advise,
	}, record)
	require.Equal(t, map[string]any{
		"deployment.id": "d1", "service.name": "checkout", "deployment.environment.name": "production",
		"vcs.ref.head.revision": "9f2c1ab", "service.version": "1.42.0",
		"deployloop.repository": "https://git.example/acme/shop.git", "vcs.repository.url.full": "https://git.example/acme/shop.git", "vcs.repository.name": "shop",
		"deployloop.verdict": "regressed", "deployloop.reason": "evidence_of_harm", "deployloop.mode": "advise", "deployloop.calibrating": false,
	}, record.Attributes().AsRaw())
	require.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
}

func TestBodiesOfOthersAreRefusedWithAReason(t *testing.T) {
	for body, reason := range map[string]string{
		`{}`:                               "a verdict needs deployment.id",
		`{"deployment":{"id":"x"}}`:        "a verdict needs verdict",
		`{"deployment":{"id":7}}`:          "deployment: id: want a string, got Int",
		`{"evidence":[{"interval":[1]}]}`:  "evidence: [0]: interval: want a list of 2, got Slice",
		`{"evidence":{}}`:                  "evidence: want a list, got Map",
		`{"losses":[{"count":-1}]}`:        "want a count",
		`{"eta":1.5}`:                      "eta: want an integer",
		`{"calibrating":"no"}`:             "calibrating: want a boolean",
		`{"nats":"many"}`:                  "nats: want a number",
		`{"deployment":{"started_at":12}}`: "want an RFC 3339 time",
		`{"onset":[]}`:                     "onset: want a map",
	} {
		record := plog.NewLogRecord()
		text := pcommon.NewValueMap()
		require.NoError(t, text.FromRaw(parse(t, body)))
		text.MoveTo(record.Body())
		_, err := DecodeVerdict(pcommon.NewResource(), record)
		require.ErrorContains(t, err, reason, body)
	}
	_, err := DecodeAnomaly(pcommon.NewResource(), plog.NewLogRecord())
	require.ErrorContains(t, err, "body: want a map")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"deployloop.verdict","body":{"kvlistValue":{"values":[{"key":"evidence","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}},"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
		if err != nil {
			return
		}
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					Name(record)
					DecodeChange(rl.Resource(), record)
					DecodePipelineRun(rl.Resource(), record)
					DecodeTestResult(rl.Resource(), record)
					DecodeFinding(rl.Resource(), record)
					DecodeDeployment(rl.Resource(), record)
					DecodeVerdict(rl.Resource(), record)
					DecodeAnomaly(rl.Resource(), record)
				}
			}
		}
	})
}

func parse(t *testing.T, text string) map[string]any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var m map[string]any
	require.NoError(t, decoder.Decode(&m))
	return numbers(m).(map[string]any)
}

// numbers turns JSON numbers into int64 where they are whole.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
		return v
	}
	return v
}
