package main

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func times(n int, x float64) []float64 { return slices.Repeat([]float64{x}, n) }

// good are results in which every floor holds, just.
func good() (*results, *recordedResults) {
	r := &results{
		Suite:    []judged{{truePositive: 95, falsePositive: 5, missed: 0, bad: 100, good: 100}},
		Placebo:  []judged{{good: 80, falsePositive: 1}, {}, {}, {}, {good: 16, falsePositive: 1}},
		Errors:   [2][]float64{append(times(16, 20), 50), append(times(16, 20), 50)},
		Hard:     append(times(16, 8), 15),
		Thrown:   times(16, 8),
		Healthy:  times(4, 200),
		HealthyN: 4,
		Onsets:   times(9, 5),
		ETAs:     slices.Repeat([]eta{{told: 10, took: 20}, {told: 10, took: 5}, {told: 10, took: 40}, {told: 10, took: 40}, {told: 10, took: 2}}, 4),
		Restless: []unrest{{placebo: judged{good: 6, falsePositive: 1}, faults: judged{truePositive: 19, missed: 1, bad: 20}}},
	}
	rec := &recordedResults{
		found: true,
		canary: append(slices.Repeat([]canaryResult{{n: 30, m: 30, published: "Pass", verdict: [2]event.VerdictState{event.Watching, event.Healthy}}}, 20),
			slices.Repeat([]canaryResult{{n: 30, m: 30, published: "High", verdict: [2]event.VerdictState{event.Regressed, event.Regressed}}}, 12)...),
		series: []seriesResult{
			{file: "gha-benchmark.jsonl", points: 5000, blamed: 5, slowed: []slowedResult{{ratio: 2, tried: 100, found: 90}}},
			{file: "otel-js.jsonl", points: 10000, blamed: 20, slowed: []slowedResult{{ratio: 2, tried: 100, found: 90}}},
		},
		nab: &nabResult{},
	}
	for range 8 {
		rec.grouping = append(rec.grouping, systemAccuracy{accuracy: .91})
	}
	for i := range 11 {
		c := rollout{defective: "a", ours: "a", verdict: string(event.Watching), deploys: 4, ruled: map[string]bool{"b": true}}
		if i < 4 {
			c.verdict = string(event.Regressed)
		}
		rec.rollouts = append(rec.rollouts, c)
	}
	rec.rollouts[0].deploys += 6 // 39 good ones in all
	return r, rec
}

// worse is how each figure may drop.
var worse = map[string]func(r *results, rec *recordedResults){
	"recall": func(r *results, _ *recordedResults) {
		r.Suite[0].bad = 120
	},
	"precision":                                 func(r *results, _ *recordedResults) { r.Suite[0].falsePositive = 9 },
	"false alarms of placebos":                  func(r *results, _ *recordedResults) { r.Placebo[0].falsePositive = 2 },
	"placebos played":                           func(r *results, _ *recordedResults) { r.Placebo[0].good = 79 },
	"the raw test's false alarms":               func(r *results, _ *recordedResults) { r.Placebo[4].falsePositive = 0 },
	"errors 1 → 3 %, median":                    func(r *results, _ *recordedResults) { r.Errors[0] = times(16, 21) },
	"errors 1 → 3 %, p95":                       func(r *results, _ *recordedResults) { r.Errors[0] = append(times(16, 20), math.Inf(1)) },
	"errors 1 → 3 % in noise, median":           func(r *results, _ *recordedResults) { r.Errors[1] = times(16, 21) },
	"errors 1 → 3 % in noise, worst of sixteen": func(r *results, _ *recordedResults) { r.Errors[1] = append(times(15, 20), 76) },
	"hard failure, median":                      func(r *results, _ *recordedResults) { r.Hard = times(16, 9) },
	"hard failure, p95":                         func(r *results, _ *recordedResults) { r.Hard = append(times(16, 8), 16) },
	"new exception, p95":                        func(r *results, _ *recordedResults) { r.Thrown = append(times(16, 2), 9) },
	"share that becomes healthy":                func(r *results, _ *recordedResults) { r.HealthyN = 5 },
	"time to healthy, median":                   func(r *results, _ *recordedResults) { r.Healthy = times(4, 201) },
	"onset error, median":                       func(r *results, _ *recordedResults) { r.Onsets = times(9, 6) },
	"ETA within a factor of two": func(r *results, _ *recordedResults) {
		r.ETAs = append(r.ETAs, slices.Repeat([]eta{{told: 1, took: 9}}, 20)...)
	},
	"false alarms in restless traffic": func(r *results, _ *recordedResults) { r.Restless[0].placebo.falsePositive = 2 },
	"recall in restless traffic":       func(r *results, _ *recordedResults) { r.Restless[0].faults.bad = 30 },
	"rollouts, top-1":                  func(_ *results, rec *recordedResults) { rec.rollouts[9].ours, rec.rollouts[10].ours = "b", "b" },
	"rollouts, called":                 func(_ *results, rec *recordedResults) { rec.rollouts[0].verdict = string(event.Watching) },
	"rollouts, share of the called that is right": func(_ *results, rec *recordedResults) {
		rec.rollouts[0].blamed = []string{"b"}
	},
	"rollouts, good releases": func(_ *results, rec *recordedResults) { rec.rollouts[0].deploys-- },
	"rollouts, good ones blamed": func(_ *results, rec *recordedResults) {
		rec.rollouts[0].blamed = []string{"b", "c"}
	},
	"rollouts, good ones that only the rule blames": func(_ *results, rec *recordedResults) {
		for i := range rec.rollouts {
			rec.rollouts[i].ruled = nil
		}
	},
	"log grouping accuracy": func(_ *results, rec *recordedResults) { rec.grouping[0].accuracy = .8 },
	"log systems":           func(_ *results, rec *recordedResults) { rec.grouping = rec.grouping[1:] },
	"canary cases called that are published to pass": func(_ *results, rec *recordedResults) { rec.canary[0].verdict[1] = event.Regressed },
	"canary cases played":                            func(_ *results, rec *recordedResults) { rec.canary = rec.canary[:29] },
	"benchmarks blamed where nothing changed":        func(_ *results, rec *recordedResults) { rec.series[0].blamed = 6 },
	"benchmarks blamed":                              func(_ *results, rec *recordedResults) { rec.series[1].blamed = 21 },
	"benchmarks slowed to twice, found":              func(_ *results, rec *recordedResults) { rec.series[1].slowed[0].found = 70 },
	"anomalies without a deployment, false alarms":   func(_ *results, rec *recordedResults) { rec.nab.falseAlarms = 2 },
}

// Every floor fails when its figure is worse, and no figure that was not measured
// passes for a good one.
func TestFloorsFailWhenQualityDrops(t *testing.T) {
	r, rec := good()
	require.Empty(t, fallen(slices.Concat(seededFloors, recordedFloors), r, rec))
	for _, f := range slices.Concat(seededFloors, recordedFloors) {
		make := worse[f.name]
		if !assert.NotNil(t, make, "nothing shows that %q can fail", f.name) {
			continue
		}
		r, rec := good()
		make(r, rec)
		require.Contains(t, fallen([]floor{f}, r, rec), f.name)
	}
	require.Len(t, worse, len(seededFloors)+len(recordedFloors))

	nothing := fallen(slices.Concat(seededFloors, recordedFloors), &results{Suite: make([]judged, 1), Placebo: make([]judged, 5)}, &recordedResults{})
	for _, name := range []string{"recall", "precision", "placebos played", "errors 1 → 3 %, median", "hard failure, median", "share that becomes healthy", "time to healthy, median",
		"ETA within a factor of two", "recall in restless traffic", "rollouts, top-1", "log grouping accuracy", "canary cases played", "benchmarks blamed", "anomalies without a deployment, false alarms"} {
		require.Contains(t, nothing, name)
	}
}
