package anomalyconnector

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

var update = flag.Bool("update", false, "write testdata/metrics/*/counted.txt anew")

// What is made of each type of metric: a case is a folder with the points that
// came (each resource a batch of its own) and what was counted of them.
func TestGoldenMetrics(t *testing.T) {
	inputs, err := filepath.Glob("testdata/metrics/*/input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	start := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			md, err := golden.ReadMetrics(input)
			require.NoError(t, err)
			r := NewReplay(createDefaultConfig().(*Config), start, false, zap.NewNop())
			defer r.Close()
			var out strings.Builder
			now := start
			count := r.monitor.tally
			r.monitor.tally = func(s *source, x detect.Tally) {
				fmt.Fprintf(&out, "%s +%s %s: %g", s.origin.Instance, time.Unix(0, x.End).Sub(start), x.Operation, x.N)
				if x.Aside.Kind == detect.AsideRate {
					out.WriteString("s")
				}
				if x.Failed > 0 {
					fmt.Fprintf(&out, ", %g failed", x.Failed)
				}
				if x.Start > 0 {
					fmt.Fprintf(&out, ", in %s", time.Unix(0, x.End).Sub(time.Unix(0, x.Start)))
				}
				for _, b := range x.Buckets {
					fmt.Fprintf(&out, ", %g to bin %d", b.N, b.Bin)
				}
				if x.Aside.Kind != detect.NotAside {
					out.WriteString(", aside")
				}
				if !s.engine.Tally(x) {
					out.WriteString(", not counted")
				}
				out.WriteString("\n")
			}
			defer func() { r.monitor.tally = count }()
			for _, resource := range md.ResourceMetrics().All() {
				batch := pmetric.NewMetrics()
				resource.CopyTo(batch.ResourceMetrics().AppendEmpty())
				for at := latest(batch); now.Before(at); {
					now = now.Add(time.Second)
					r.Step(now)
				}
				r.Metrics(batch, now)
			}
			r.Step(now.Add(5 * time.Second))
			require.Zero(t, r.monitor.meter.panics.Load())
			losses := r.Losses()
			slices.SortFunc(losses, func(a, b event.Loss) int { return cmp.Compare(a.Name, b.Name) })
			for _, l := range losses {
				fmt.Fprintf(&out, "%s %d\n", l.Name, l.Count)
			}
			want := filepath.Join(folder, "counted.txt")
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(out.String()), 0o644))
				return
			}
			text, err := os.ReadFile(want)
			require.NoError(t, err)
			assert.Equal(t, string(text), out.String())
		})
	}
}

func latest(md pmetric.Metrics) (at time.Time) {
	take := func(t time.Time) {
		if t.After(at) {
			at = t
		}
	}
	for _, r := range md.ResourceMetrics().All() {
		for _, scope := range r.ScopeMetrics().All() {
			for _, m := range scope.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						take(p.Timestamp().AsTime())
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						take(p.Timestamp().AsTime())
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						take(p.Timestamp().AsTime())
					}
				case pmetric.MetricTypeSummary:
					for _, p := range m.Summary().DataPoints().All() {
						take(p.Timestamp().AsTime())
					}
				}
			}
		}
	}
	return at
}
