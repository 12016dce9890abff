package main

import (
	"fmt"
	"math"
)

// floor is a figure below (or above) which nothing may fall.
type floor struct {
	name  string
	bound float64
	most  bool // the bound is the most it may be, not the least
	value func(r *results, rec *recordedResults) float64
}

// holds says whether the figure is at least as good as the bound. What could not
// be measured is not.
func (f *floor) holds(value float64) bool {
	if f.most {
		return value <= f.bound
	}
	return value >= f.bound
}

func (f *floor) told(value float64) string {
	side := "at least"
	if f.most {
		side = "at most"
	}
	return fmt.Sprintf("%s: %.4g, where %s %.4g is asked", f.name, value, side, f.bound)
}

// fallen names the floors that do not hold, by name, with what was measured.
func fallen(floors []floor, r *results, rec *recordedResults) (out map[string]string) {
	out = map[string]string{}
	for i := range floors {
		f := &floors[i]
		if v := f.value(r, rec); !f.holds(v) {
			out[f.name] = f.told(v)
		}
	}
	return out
}

func ofSeeded(value func(r *results) float64) func(*results, *recordedResults) float64 {
	return func(r *results, _ *recordedResults) float64 { return value(r) }
}

func ofRecorded(value func(r *recordedResults) float64) func(*results, *recordedResults) float64 {
	return func(_ *results, rec *recordedResults) float64 { return value(rec) }
}

func share(k, n int) float64 { return float64(k) / float64(n) } // NaN of none: no floor holds

// seededFloors are of the small scorecard of every change, a little below what
// the full one measures.
var seededFloors = []floor{
	{name: "recall", bound: .9, value: ofSeeded(func(r *results) float64 { return share(r.Suite[0].truePositive, r.Suite[0].bad) })},
	{name: "precision", bound: .95, value: ofSeeded(func(r *results) float64 {
		return share(r.Suite[0].truePositive, r.Suite[0].truePositive+r.Suite[0].falsePositive)
	})},
	{name: "false alarms of placebos", most: true, bound: 1, value: ofSeeded(func(r *results) float64 { return float64(r.Placebo[0].falsePositive) })},
	{name: "placebos played", bound: 80, value: ofSeeded(func(r *results) float64 { return float64(r.Placebo[0].good) })},
	{name: "the raw test's false alarms", bound: 1, value: ofSeeded(func(r *results) float64 { return float64(r.Placebo[4].falsePositive) })},
	{name: "errors 1 → 3 %, median", most: true, bound: 20, value: ofSeeded(func(r *results) float64 { return quantile(r.Errors[0], .5) })},
	{name: "errors 1 → 3 %, p95", most: true, bound: 50, value: ofSeeded(func(r *results) float64 { return quantile(r.Errors[0], .95) })},
	{name: "errors 1 → 3 % in noise, median", most: true, bound: 20, value: ofSeeded(func(r *results) float64 { return quantile(r.Errors[1], .5) })},
	{name: "errors 1 → 3 % in noise, worst of sixteen", most: true, bound: 75, value: ofSeeded(func(r *results) float64 { return quantile(r.Errors[1], .95) })},
	{name: "hard failure, median", most: true, bound: 8, value: ofSeeded(func(r *results) float64 { return quantile(r.Hard, .5) })},
	{name: "hard failure, p95", most: true, bound: 15, value: ofSeeded(func(r *results) float64 { return quantile(r.Hard, .95) })},
	{name: "new exception, p95", most: true, bound: 8, value: ofSeeded(func(r *results) float64 { return quantile(r.Thrown, .95) })},
	{name: "share that becomes healthy", bound: 1, value: ofSeeded(func(r *results) float64 { return share(len(r.Healthy), r.HealthyN) })},
	{name: "time to healthy, median", most: true, bound: 200, value: ofSeeded(func(r *results) float64 { return quantile(r.Healthy, .5) })},
	{name: "onset error, median", most: true, bound: 5, value: ofSeeded(func(r *results) float64 { return quantile(r.Onsets, .5) })},
	{name: "ETA within a factor of two", bound: .35, value: ofSeeded(func(r *results) float64 { return etaHonesty(r.ETAs).share() })},
	{name: "false alarms in restless traffic", most: true, bound: 1, value: ofSeeded(func(r *results) float64 {
		placebo, _ := restlessTotal(r.Restless)
		return float64(placebo.falsePositive)
	})},
	{name: "recall in restless traffic", bound: .8, value: ofSeeded(func(r *results) float64 {
		_, faults := restlessTotal(r.Restless)
		return share(faults.truePositive, faults.bad)
	})},
}

// recordedFloors are of the recorded data.
var recordedFloors = []floor{
	{name: "rollouts, top-1", bound: 10, value: ofRecorded(func(rec *recordedResults) float64 { return float64(rolloutsTop(rec.rollouts)) })},
	{name: "rollouts, called", bound: 4, value: ofRecorded(func(rec *recordedResults) float64 { return float64(callsOf(rec.rollouts).incidents) })},
	{name: "rollouts, share of the called that is right", bound: 1, value: ofRecorded(func(rec *recordedResults) float64 {
		c := callsOf(rec.rollouts)
		return share(c.right, c.incidents)
	})},
	{name: "rollouts, good releases", bound: 39, value: ofRecorded(func(rec *recordedResults) float64 { return float64(callsOf(rec.rollouts).good) })},
	{name: "rollouts, good ones blamed", most: true, bound: 1, value: ofRecorded(func(rec *recordedResults) float64 { return float64(callsOf(rec.rollouts).blamed) })},
	{name: "rollouts, good ones that only the rule blames", bound: 1, value: ofRecorded(func(rec *recordedResults) float64 {
		c := callsOf(rec.rollouts)
		return float64(c.ruledBlamed - c.blamed)
	})},
	{name: "log grouping accuracy", bound: .9, value: ofRecorded(func(rec *recordedResults) float64 { return meanAccuracy(rec.grouping) })},
	{name: "log systems", bound: 8, value: ofRecorded(func(rec *recordedResults) float64 { return float64(len(rec.grouping)) })},
	{name: "canary cases called that are published to pass", most: true, bound: 0, value: ofRecorded(func(rec *recordedResults) float64 {
		t := tallyCanary(rec.canary)
		return float64(t.called + t.calledOfMany)
	})},
	{name: "canary cases played", bound: 30, value: ofRecorded(func(rec *recordedResults) float64 { return float64(tallyCanary(rec.canary).played) })},
	{name: "benchmarks blamed where nothing changed", most: true, bound: .001, value: ofRecorded(func(rec *recordedResults) float64 { return blamedShare(rec.series, "gha-benchmark.jsonl") })},
	{name: "benchmarks blamed", most: true, bound: .002, value: ofRecorded(func(rec *recordedResults) float64 { return blamedShare(rec.series, "otel-js.jsonl") })},
	{name: "benchmarks slowed to twice, found", bound: .85, value: ofRecorded(func(rec *recordedResults) float64 { return slowedShare(rec.series, 2) })},
	{name: "anomalies without a deployment, false alarms", most: true, bound: 1, value: ofRecorded(func(rec *recordedResults) float64 {
		if rec.nab == nil {
			return math.NaN()
		}
		return float64(rec.nab.falseAlarms)
	})},
}

func rolloutsTop(list []rollout) (top int) {
	for _, r := range list {
		if r.ours == r.defective {
			top++
		}
	}
	return top
}

func meanAccuracy(list []systemAccuracy) float64 {
	sum := 0.
	for _, g := range list {
		sum += g.accuracy
	}
	return sum / float64(len(list))
}

func blamedShare(list []seriesResult, file string) float64 {
	for _, s := range list {
		if s.file == file {
			return share(s.blamed, s.points)
		}
	}
	return math.NaN()
}

func slowedShare(list []seriesResult, ratio float64) float64 {
	found, tried := 0, 0
	for _, s := range list {
		for _, d := range s.slowed {
			if d.ratio == ratio {
				found, tried = found+d.found, tried+d.tried
			}
		}
	}
	return share(found, tried)
}
