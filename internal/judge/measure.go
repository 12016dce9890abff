package judge

import (
	"math"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// measure is one number of a run that should not get worse.
type measure struct {
	value             float64
	unit, suite, name string
	higherBetter      bool
	percent           bool    // a share that should be high: coverage
	count             bool    // of things that should not be: it may be none
	size              bool    // of what was built
	alone             bool    // no machine moves it together with others of its suite
	least             float64 // growth that is worth a word, of its cost
}

func newMeasure(suite, name string, value float64, unit string) measure {
	m := measure{value: value, unit: unit, suite: suite, name: name, higherBetter: higherIsBetter(unit)}
	switch lower := strings.ToLower(unit); {
	case strings.HasPrefix(unit, "{"), slices.Contains(countUnits, lower):
		m.count, m.alone, m.higherBetter, m.least = true, true, false, 1
	case slices.Contains(sizeUnits, lower):
		m.size, m.alone = true, true
	}
	return m
}

// Units of what no machine's speed moves.
var (
	countUnits = []string{"count", "warning", "warnings", "finding", "findings", "issue", "issues", "error", "errors"}
	sizeUnits  = []string{"by", "b", "byte", "bytes", "kb", "kib", "kiby", "mb", "mib", "miby", "gb", "gib", "giby"}
)

// percentStep makes a point of a share ln minRatio: from there on a fall is worth a
// word, and a share that is steadier than a fifth of a point is not trusted to be.
var percentStep = math.Log(minRatio)

// cost is what the series of a measure is of: positive, and a larger one is worse.
func (m measure) cost() float64 {
	switch {
	case m.percent:
		return math.Exp(percentStep * (100 - m.value))
	case m.count:
		return m.value + 1
	case m.higherBetter && m.value > 0:
		return 1 / m.value
	}
	return m.value
}

// valueOf is the value of a cost.
func (m measure) valueOf(cost float64) float64 {
	switch {
	case m.percent:
		return 100 - math.Log(cost)/percentStep
	case m.count:
		return cost - 1
	case m.higherBetter:
		return 1 / cost
	}
	return cost
}

// call is what a growth of the cost is called.
func (m measure) call() event.Call {
	if m.percent || m.count || m.size {
		return event.Worsened
	}
	return event.Slower
}

// minMoreFindings is the least growth of what a tool finds that is worth a word of
// its own: each finding has one already.
const minMoreFindings = 5

// sum adds to the measures what only a run that is over can tell: its coverage, and
// how much each tool found.
func (r *Run) sum() {
	put := func(m measure) {
		if key := Key(m.suite, m.name) + "\x1f" + m.unit; len(r.measures) < maxEntries {
			r.measures[key] = m
		}
	}
	if r.Partial {
		return // a part of them says nothing of the whole
	}
	for unit, c := range r.covered {
		if c[1] > 0 {
			put(measure{value: 100 * float64(c[0]) / float64(c[1]), unit: "%", name: "coverage " + unit, percent: true, alone: true})
		}
	}
	found := map[string]int{}
	for tool := range r.tools {
		found[tool] = 0
	}
	for _, f := range r.findings {
		found[f.Tool]++
	}
	for tool, n := range found {
		put(measure{value: float64(n), unit: "{finding}", suite: tool, name: "findings", count: true, alone: true, least: minMoreFindings})
	}
}

// higherIsBetter of a benchmark's unit: throughput.
func higherIsBetter(unit string) bool {
	unit = strings.ToLower(unit)
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/sec") || strings.HasSuffix(unit, "ps") && !strings.HasSuffix(unit, "steps")
}
