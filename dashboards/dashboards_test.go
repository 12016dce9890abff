package dashboards

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
	"github.com/deployloop/deployloop/internal/loopmetrics/loopprom"
)

// A metric that was renamed would be a panel that is empty, or always zero.
func TestEveryMetricIsOneThatIsMade(t *testing.T) {
	made := map[string]bool{}
	families := append(loopmetrics.NewTracker(ledger.New(ledger.Limits{})).Collect(time.Now()),
		loopmetrics.Family{Name: event.MetricTelemetryLost, Unit: "{item}", Kind: loopmetrics.Counter},
		loopmetrics.Family{Name: event.MetricDetectorSize, Unit: "{item}", Kind: loopmetrics.Gauge},
		loopmetrics.Family{Name: event.MetricAlwaysOn, Unit: "{service}", Kind: loopmetrics.Gauge},
		loopmetrics.Family{Name: event.MetricTaskDuration, Unit: "s", Kind: loopmetrics.Histogram})
	for _, f := range families {
		made[loopprom.Name(f)] = true
	}
	boards, err := Boards()
	require.NoError(t, err)
	require.Len(t, boards, 4)
	used := 0
	for _, b := range boards {
		for _, query := range b.queries() {
			for _, name := range regexp.MustCompile(`deployloop_\w+`).FindAllString(query, -1) {
				used++
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if base, ok := strings.CutSuffix(name, suffix); ok && made[base] {
						name = base
					}
				}
				assert.True(t, made[name], "%s: %s is no metric of deployloop: %s", b.Title, name, query)
			}
		}
	}
	assert.Greater(t, used, 50)
}

func (b Board) queries() (out []string) {
	for _, v := range b.Templating.List {
		out = append(out, string(v.Query))
	}
	for _, a := range b.Annotations.List {
		out = append(out, a.Expr)
	}
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	return out
}

func TestFill(t *testing.T) {
	c := Choice{Variables: map[string]string{"service": "checkout"}, Range: time.Hour, RateInterval: 4 * time.Second}
	assert.Equal(t, `sum(increase(x{service=~"checkout",deployment=~".*"}[3600s])) / (3600 / 86400) + rate(y[4s])`,
		c.Fill(`sum(increase(x{service=~"$service",deployment=~"${deployment}"}[$__range])) / ($__range_s / 86400) + rate(y[$__rate_interval])`))
}
