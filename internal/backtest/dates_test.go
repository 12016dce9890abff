package backtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/event"
)

// heard notes what a player tells.
type heard struct {
	spans, steps int
	start, end   time.Time
	step         func()
}

func (h *heard) Traces(td ptrace.Traces, _ time.Time)       { h.spans += td.SpanCount() }
func (h *heard) Metrics(pmetric.Metrics, time.Time)         {}
func (h *heard) Logs(plog.Logs, time.Time)                  {}
func (h *heard) Deploy(d event.Deployment) event.Deployment { return d }
func (h *heard) Finish() []event.Verdict                    { return nil }
func (h *heard) Step(now time.Time) ([]event.Verdict, []event.Anomaly) {
	h.steps, h.end = h.steps+1, now
	if h.step != nil {
		h.step()
	}
	return nil, nil
}

func (h *heard) play(ctx context.Context, in *Input) error {
	return in.Play(ctx, func(start time.Time) Detector { h.start = start; return h }, Options{Emit: func(Line) error { return nil }})
}

// spansAt are a span a line that ended at these seconds.
func spansAt(seconds ...float64) string {
	var text strings.Builder
	for _, s := range seconds {
		fmt.Fprintf(&text, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /","endTimeUnixNano":"%d"}]}]}]}`+"\n", int64(s*1e9))
	}
	return text.String()
}

// A few items of a clock that was not set, or in another unit, stretch nothing;
// where all are, they are what there is, and the unit is told.
func TestItemsFarFromTheRest(t *testing.T) {
	const now = 1_795_000_000.
	var rest []float64
	for k := range 500 {
		rest = append(rest, now+float64(k))
	}
	in := readText(t, "f.jsonl", spansAt(append([]float64{4_102_444_800, 1.795, 1795}, rest...)...))
	var h heard
	require.NoError(t, h.play(t.Context(), in))
	require.Equal(t, 500, h.spans)
	require.EqualValues(t, now, h.start.Unix())
	require.EqualValues(t, now+501, h.end.Unix())
	require.Equal(t, 2, in.Skipped.Days)
	require.Len(t, in.Skipped.Astray, 2)
	require.Regexp(t, `f\.jsonl:2: 1970-01-01T00:00:01Z, seconds where nanoseconds are due$`, in.Skipped.Astray[0])
	require.Regexp(t, `f\.jsonl:1: 2100-01-01T00:00:00Z$`, in.Skipped.Astray[1])

	for name, odd := range map[string][]float64{
		"a build of long ago":  {now - 400*daySeconds},
		"a pause":              {now + 20*daySeconds},
		"one in fifty is much": {4_102_444_800, 4_102_444_801, 4_102_444_802, 4_102_444_803, 4_102_444_804, 4_102_444_805, 4_102_444_806, 4_102_444_807, 4_102_444_808, 4_102_444_809},
	} {
		in := readText(t, "f.jsonl", spansAt(append(odd, rest...)...))
		var h heard
		require.NoError(t, h.play(t.Context(), in))
		require.Equal(t, 500+len(odd), h.spans, name)
		require.Zero(t, in.Skipped.Days, name)
		require.Less(t, h.steps, 10_000, name)
	}

	in = readText(t, "f.jsonl", spansAt(1.795, 1.7951))
	h = heard{}
	require.NoError(t, h.play(t.Context(), in))
	require.Equal(t, 2, h.spans)
	require.Contains(t, in.Skipped.Unit, ", seconds where nanoseconds are due")
	in = readText(t, "f.jsonl", spansAt(now))
	require.NoError(t, h.play(t.Context(), in))
	require.Empty(t, in.Skipped.Unit)
}

// Who ends a backtest need not wait for the next line of telemetry.
func TestAPlayEndsWithItsContext(t *testing.T) {
	in := readText(t, "f.jsonl", spansAt(1_795_000_000, 1_795_003_000))
	ctx, cancel := context.WithCancel(t.Context())
	h := heard{}
	h.step = func() {
		if h.steps == 10 {
			cancel()
		}
	}
	require.ErrorIs(t, h.play(ctx, in), context.Canceled)
	require.Equal(t, 10, h.steps)
}
