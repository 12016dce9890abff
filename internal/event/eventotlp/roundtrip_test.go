package eventotlp

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/deployloop/deployloop/internal/event"
)

// fill draws a value for every exported field of v, whatever its type, so that
// a field added to the vocabulary and forgotten in the codec fails the round trip.
func fill(t *rapid.T, v reflect.Value, label string) {
	switch v.Interface().(type) {
	case time.Time:
		if rapid.Bool().Draw(t, label+"?") {
			v.Set(reflect.ValueOf(time.Unix(0, rapid.Int64Range(1, math.MaxInt64).Draw(t, label)).UTC()))
		}
		return
	case float64:
		v.SetFloat(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{3, math.Copysign(0, -1), math.Inf(1), 1e300})).Draw(t, label))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.StringMatching(`[a-z/.:é\n ]{0,12}`).Draw(t, label))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, label))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64Max(math.MaxInt64).Draw(t, label))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, label+"?") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), label)
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 2).Draw(t, label+"#"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), label)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), label)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("no generator for %s (%s)", label, v.Type())
	}
}

// roundTrip checks that what was encoded, marshalled, unmarshalled and decoded
// is what it was. complete fills the fields without which Decode refuses.
func roundTrip[T any](t *testing.T, name string, complete func(*T), encode func(T, plog.LogRecord), decode func(pcommon.Resource, plog.LogRecord) (T, error)) {
	rapid.Check(t, func(t *rapid.T) {
		var want T
		fill(t, reflect.ValueOf(&want).Elem(), "event")
		complete(&want)

		logs := plog.NewLogs()
		encode(want, logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(wire)
		require.NoError(t, err)

		record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		require.Equal(t, name, Name(record))
		got, err := decode(pcommon.NewResource(), record)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func orDefault(s *string, fallback string) {
	if *s == "" {
		*s = fallback
	}
}

func TestRoundTripOfEveryField(t *testing.T) {
	t.Run("change", func(t *testing.T) {
		roundTrip(t, event.NameChange, func(c *event.Change) { orDefault(&c.Revision, "abc") }, EncodeChange, DecodeChange)
	})
	t.Run("pipeline run", func(t *testing.T) {
		roundTrip(t, event.NamePipelineRun, func(r *event.PipelineRun) { orDefault(&r.ID, "1") }, EncodePipelineRun, DecodePipelineRun)
	})
	t.Run("test result", func(t *testing.T) {
		roundTrip(t, event.NameTestResult, func(r *event.TestResult) { orDefault(&r.Case, "TestX"); orDefault(&r.Status, "pass") }, EncodeTestResult, DecodeTestResult)
	})
	t.Run("finding", func(t *testing.T) {
		roundTrip(t, event.NameFinding, func(f *event.Finding) { orDefault(&f.Rule, "G101") }, EncodeFinding, DecodeFinding)
	})
	t.Run("measurement", func(t *testing.T) {
		roundTrip(t, event.NameMeasurement, func(m *event.Measurement) { orDefault(&m.Name, "BenchmarkX") }, EncodeMeasurement, DecodeMeasurement)
	})
	t.Run("report", func(t *testing.T) {
		roundTrip(t, event.NameReport, func(r *event.Report) { orDefault(&r.Kind, "junit") }, EncodeReport, DecodeReport)
	})
	t.Run("deployment", func(t *testing.T) {
		roundTrip(t, event.NameDeployment, func(d *event.Deployment) {
			orDefault(&d.Service, "checkout")
			orDefault(&d.Environment, "production")
			orDefault(&d.Revision, "abc")
		}, EncodeDeployment, DecodeDeployment)
	})
	t.Run("verdict", func(t *testing.T) {
		roundTrip(t, event.NameVerdict, func(v *event.Verdict) {
			orDefault(&v.Deployment.ID, "0123456789ab")
			orDefault((*string)(&v.State), "watching")
		}, EncodeVerdict, DecodeVerdict)
	})
	t.Run("anomaly", func(t *testing.T) {
		roundTrip(t, event.NameAnomaly, func(a *event.Anomaly) { orDefault(&a.ID, "0123456789ab") }, EncodeAnomaly, DecodeAnomaly)
	})
	t.Run("feedback", func(t *testing.T) {
		roundTrip(t, event.NameFeedback, func(f *event.Feedback) {
			orDefault(&f.ID, "0123456789ab")
			orDefault(&f.Revision, "9f2c1ab")
			orDefault((*string)(&f.State), "healthy")
		}, EncodeFeedback, DecodeFeedback)
	})
	t.Run("notice", func(t *testing.T) {
		roundTrip(t, event.NameNotice, func(n *event.Notice) {
			orDefault((*string)(&n.Kind), "dark")
			orDefault(&n.Deployment, "0123456789ab")
		}, EncodeNotice, DecodeNotice)
	})
	t.Run("digest", func(t *testing.T) {
		roundTrip(t, event.NameDigest, func(d *event.Digest) {
			if d.From.IsZero() || d.Till.IsZero() {
				d.From, d.Till = time.Unix(86400, 0).UTC(), time.Unix(2*86400, 0).UTC()
			}
		}, EncodeDigest, DecodeDigest)
	})
}

// A float that happens to be whole must not change its OTLP type from one
// heartbeat to the next, and NaN, which JSON has no word for, must survive.
func TestBodyKeepsTheTypesOfNumbers(t *testing.T) {
	record := plog.NewLogRecord()
	EncodeVerdict(event.Verdict{
		Deployment: event.Deployment{ID: "x"}, State: event.Watching,
		Nats: 3, Threshold: math.NaN(), ETA: time.Duration(math.MaxInt64),
		Losses: []event.Loss{{Name: "shed", Count: math.MaxUint64}},
	}, record)

	nats, _ := record.Body().Map().Get("nats")
	require.Equal(t, pcommon.ValueTypeDouble, nats.Type())
	eta, _ := record.Body().Map().Get("eta")
	require.Equal(t, pcommon.ValueTypeInt, eta.Type())

	v, err := DecodeVerdict(pcommon.NewResource(), record)
	require.NoError(t, err)
	require.True(t, math.IsNaN(v.Threshold))
	require.Equal(t, time.Duration(math.MaxInt64), v.ETA)
	require.Equal(t, uint64(math.MaxInt64), v.Losses[0].Count, "OTLP integers are signed: a larger count is cut, not lost")
}

func TestBodyAsJSONText(t *testing.T) {
	want := event.Anomaly{ID: "a1", Kind: event.KindSymptom, Service: "checkout", StartsAt: time.Date(2026, 11, 23, 14, 0, 0, 5, time.UTC), Open: true}
	record := plog.NewLogRecord()
	EncodeAnomaly(want, record)
	asText := plog.NewLogRecord()
	asText.Body().SetStr(record.Body().AsString())
	got, err := DecodeAnomaly(pcommon.NewResource(), asText)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	record := plog.NewLogRecord()
	EncodeChange(event.Change{Revision: "abc", Message: "caf\xe9", Added: []string{"\xff.go"}}, record)
	c, err := DecodeChange(pcommon.NewResource(), record)
	require.NoError(t, err)
	require.Equal(t, "caf\uFFFD", c.Message)
	require.Equal(t, []string{"\uFFFD.go"}, c.Added)
}
