package main

import (
	"fmt"
	"math"
	"strings"
)

// restless is traffic that seems harmful to whoever does not know its past: all
// instances alike, on top of AR(1) noise and pod bias.
type restless struct {
	noise noise
	watch int // seconds that a deployment is followed
}

var (
	steady  = shape{name: "all at once, 40/s", newPods: 2, oldPods: 2, newRate: 40, oldRate: 40, errors: .01, replaces: true}
	quarter = shape{name: "canary, 10 of 40/s", newPods: 1, oldPods: 3, newRate: 10, oldRate: 30, errors: .01}

	restlessKinds = []restless{
		{restlessNoise("30 s of work in every 300 s", func(n *noise) { n.works, n.every, n.history = 30, 300, 3600 }), 1200},
		{restlessNoise("30 s of work in every 900 s", func(n *noise) { n.works, n.every, n.history = 30, 900, 10800 }), 2700},
		{restlessNoise("bursts of errors", func(n *noise) { n.hiccup, n.gap, n.lasts, n.history = .2, 150, 15, 1800 }), watchSeconds},
		{restlessNoise("bursts of traffic", func(n *noise) { n.surge, n.calms, n.history = .8, 10, 1800 }), watchSeconds},
		{restlessNoise("a day of an hour", func(n *noise) { n.day, n.swing, n.history = 3600, .6, 7200 }), watchSeconds},
	}
	restlessFaults = []fault{faults[1], {name: "errors 1 → 5 %", errors: .05}, faults[2], faults[5]}
)

func restlessNoise(name string, set func(n *noise)) noise {
	n := real_
	n.name = name
	set(&n)
	return n
}

// unrest is how we do on one kind of restless traffic.
type unrest struct {
	kind    restless
	placebo judged
	faults  judged
	healthy []float64 // seconds to it of placebos; NaN: never
	byFault [][2]int  // missed, of
}

func playRestless(z size, seed uint64) []unrest {
	out := make([]unrest, len(restlessKinds))
	for k, kind := range restlessKinds {
		u := &out[k]
		*u = unrest{kind: kind, byFault: make([][2]int, len(restlessFaults))}
		u.placebo.name, u.faults.name = kind.noise.name, kind.noise.name
		shapeOf := func(i int) shape {
			if i%2 == 0 {
				return steady
			}
			return quarter
		}
		at := seed*23_000_003 + uint64(k)*1_000_000
		for _, o := range each(z.Restless, func(i int) outcome {
			return play(at+uint64(i), shapeOf(i), kind.noise, none, kind.watch, false)
		}) {
			u.placebo.add(false, o.regressed)
			u.healthy = append(u.healthy, o.healthy)
		}
		n := max(z.Restless/5, len(restlessFaults))
		for i, o := range each(n, func(i int) outcome {
			return play(at+500_000+uint64(i), shapeOf(i/len(restlessFaults)), kind.noise, restlessFaults[i%len(restlessFaults)], kind.watch, false)
		}) {
			u.faults.add(true, o.regressed)
			m := &u.byFault[i%len(restlessFaults)]
			m[1]++
			if math.IsNaN(o.regressed) || o.regressed <= 0 {
				m[0]++
			}
		}
	}
	return out
}

// restlessTotal is all kinds together.
func restlessTotal(list []unrest) (placebo, faults judged) {
	for _, u := range list {
		for _, j := range []struct{ to, from *judged }{{&placebo, &u.placebo}, {&faults, &u.faults}} {
			j.to.bad += j.from.bad
			j.to.good += j.from.good
			j.to.truePositive += j.from.truePositive
			j.to.falsePositive += j.from.falsePositive
			j.to.missed += j.from.missed
			j.to.delays = append(j.to.delays, j.from.delays...)
		}
	}
	return placebo, faults
}

// reportRestless writes its part of the scorecard.
func reportRestless(p func(string, ...any), list []unrest) {
	p("## Restless traffic")
	p("")
	p("What a service does anyway, and only a long past tells: on top of AR(1) noise and pod bias, alike in all instances. Half of the deployments replace two instances at once (40 requests a second while it works), half put one beside three. Placebos change nothing; faults are the four named. Delays are from the first request that was harmed, idle time included.")
	p("")
	p("| traffic | past, watched | false per 1000 placebo deployments [Wilson 95 %%] | placebos healthy, median | recall | delay median | p95 | missed |")
	p("|---|---|---|---|---|---|---|---|")
	for _, u := range list {
		var healthy []float64
		for _, h := range u.healthy {
			if !math.IsNaN(h) {
				healthy = append(healthy, h)
			}
		}
		var missed []string
		for i, m := range u.byFault {
			if m[0] > 0 {
				missed = append(missed, count(restlessFaults[i].name, m))
			}
		}
		if len(missed) == 0 {
			missed = []string{"none"}
		}
		p("| %s | %s, %s | %s | %d of %d, %s | %.1f %% of %d | %s | %s | %s |", u.kind.noise.name, minutes(u.kind.noise.history), minutes(u.kind.watch), per1000(u.placebo),
			len(healthy), len(u.healthy), seconds(quantile(healthy, .5)), 100*u.faults.recall(), u.faults.bad, seconds(quantile(u.faults.delays, .5)), seconds(quantile(u.faults.delays, .95)), strings.Join(missed, "; "))
	}
	placebo, _ := restlessTotal(list)
	p("")
	p("Together: %s. Work: begins every period, lasts 25 to 35 s. Bursts of errors: 20 %% of the requests fail for 15 s, every 150 s on average. Bursts of traffic: σ 0.8 of the rate's logarithm, with a memory of 10 s. The day is a sine over an hour: the rate swings by 60 %%, the share of failures by 30 %%, latency by 12 %%, at 24 times the pace of a real day, and so harder.", per1000(placebo))
	p("")
}

func minutes(s int) string { return fmt.Sprintf("%d min", s/60) }
