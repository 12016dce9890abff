package loopmetrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/ledger"
)

// registered is a row of the table in docs/metrics.md.
type registered struct {
	kind, unit string
	labels     []string // all that a series of it can have
}

func register(t *testing.T) map[string]registered {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile("`([^`]+)`")
	words := func(cell string) (out []string) {
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			out = append(out, m[1])
		}
		return out
	}
	out := map[string]registered{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `deployloop.") {
			continue
		}
		require.Len(t, cells, 6, line)
		kind, unit, _ := strings.Cut(strings.TrimSpace(cells[2]), ", ")
		unit, _, _ = strings.Cut(unit, ",")
		row := registered{kind: kind, unit: unit, labels: words(cells[3])}
		if !strings.Contains(cells[3], "no service") {
			row.labels = append(row.labels, "service", "environment")
		}
		slices.Sort(row.labels)
		for _, name := range words(cells[1]) {
			out[name] = row
		}
	}
	return out
}

func TestTheRegisterIsWhatIsMade(t *testing.T) {
	rows := register(t)
	made := map[string]bool{}
	for _, f := range NewTracker(ledger.New(ledger.Limits{})).Collect(time.Now()) {
		made[f.Name] = true
		row, ok := rows[f.Name]
		if !assert.True(t, ok, "add %s to docs/metrics.md", f.Name) {
			continue
		}
		assert.Equal(t, map[Kind]string{Gauge: "gauge", Counter: "counter", Histogram: "histogram"}[f.Kind], row.kind, f.Name)
		unit := strings.Trim(f.Unit, "{}")
		if unit != "nat" && unit != f.Unit {
			unit = "" // things that are counted
		}
		assert.Equal(t, unit, row.unit, f.Name)
	}
	for name := range rows {
		assert.True(t, made[name], "docs/metrics.md has %s, which nothing makes", name)
	}
}

// requireRegistered fails for a label that docs/metrics.md does not name, and
// for one that it names of a metric with points and that none of them has.
func requireRegistered(t *testing.T, families []Family) {
	t.Helper()
	rows := register(t)
	for _, f := range families {
		var labels []string
		for _, p := range f.Points {
			for _, l := range p.Labels {
				if !slices.Contains(labels, l.Key) {
					labels = append(labels, l.Key)
				}
			}
		}
		slices.Sort(labels)
		if len(f.Points) > 0 {
			require.Equal(t, rows[f.Name].labels, labels, f.Name)
		}
	}
}
