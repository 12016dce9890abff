package main

import (
	"fmt"
	"math"
	"strings"
)

// count reads "canary: 0 of 600".
func count(name string, c [2]int) string { return fmt.Sprintf("%s: %d of %d", name, c[0], c[1]) }

func seconds(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case math.IsInf(x, 1):
		return "never"
	}
	return fmt.Sprintf("%.0f s", x)
}

func per1000(j judged) string {
	lo, hi := wilson(j.falsePositive, j.good)
	return fmt.Sprintf("%.1f [%.1f, %.1f] of %d", 1000*float64(j.falsePositive)/math.Max(float64(j.good), 1), 1000*lo, 1000*hi, j.good)
}

// target is one line of what the engine must reach.
type target struct {
	what, goal, got string
	met             bool
}

func targets(r results, rec recordedResults) []target {
	ours := r.Suite[0]
	e0, e0p := quantile(r.Errors[0], .5), quantile(r.Errors[0], .95)
	e1, e1p := quantile(r.Errors[1], .5), quantile(r.Errors[1], .95)
	h, hp := quantile(r.Hard, .5), quantile(r.Hard, .95)
	x, xp := quantile(r.Thrown, .5), quantile(r.Thrown, .95)
	healthy := quantile(r.Healthy, .5)
	if len(r.Healthy)*2 < r.HealthyN {
		healthy = math.Inf(1)
	}
	rate := 1000 * float64(r.Placebo[0].falsePositive) / math.Max(float64(r.Placebo[0].good), 1)
	out := []target{
		{"errors 1 → 3 %, 100 new + 900 old requests/s, iid", "≤ 20 s median, ≤ 50 s p95", seconds(e0) + " / " + seconds(e0p), e0 <= 20 && e0p <= 50},
		{"the same with AR(1) noise and pod bias", "the same", seconds(e1) + " / " + seconds(e1p), e1 <= 20 && e1p <= 50},
		{"hard failure: 20 % errors, 10 new + 90 old requests/s", "≤ 8 / 15 s", seconds(h) + " / " + seconds(hp), h <= 8 && hp <= 15},
		{"hard failure: a new exception in every second request, same traffic", "≤ 8 / 15 s", seconds(x) + " / " + seconds(xp), x <= 8 && xp <= 15},
		{"false regressed per 1000 placebo deployments (AR(1) noise, pod bias), Wilson 95 %", "≤ 5", per1000(r.Placebo[0]), rate <= 5},
		{"recall / precision on the injected suite", "90 / 95 %", fmt.Sprintf("%.1f / %.1f %%", 100*ours.recall(), 100*ours.precision()), ours.recall() >= .9 && ours.precision() >= .95},
		{"time to healthy, 100 new + 900 old requests/s", "≤ 300 s median", fmt.Sprintf("%s median, %s p95, %d of %d healthy in 20 min", seconds(healthy), seconds(quantile(r.Healthy, .95)), len(r.Healthy), r.HealthyN), healthy <= 300},
		{"onset error over the suite", "≤ 5 s median", fmt.Sprintf("%s median, %s p95", seconds(quantile(r.Onsets, .5)), seconds(quantile(r.Onsets, .95))), quantile(r.Onsets, .5) <= 5},
	}
	if rec.found {
		c := callsOf(rec.rollouts)
		out = append(out, target{"recorded concurrent rollouts: deployment top-1 of the incidents that are called", "≥ 90 %, at most 5 % of the good blamed",
			fmt.Sprintf("%d of %d called, of %d; %d of %d good blamed", c.right, c.incidents, len(rec.rollouts), c.blamed, c.good),
			c.incidents > 0 && float64(c.right) >= .9*float64(c.incidents) && float64(c.blamed) <= .05*float64(c.good)})
		sum := 0.
		for _, g := range rec.grouping {
			sum += g.accuracy
		}
		sum /= math.Max(float64(len(rec.grouping)), 1)
		out = append(out, target{fmt.Sprintf("log grouping accuracy, streaming, mean of %d recorded systems", len(rec.grouping)), "≥ .90", fmt.Sprintf("%.3f", sum), sum >= .9})
	}
	return out
}

// report writes the whole scorecard as Markdown.
func report(command string, r results, rec recordedResults) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Scorecard")
	p("")
	p("Written by `%s` (seed %d); every number below comes from that run. The traffic is simulated request by request through the engine's public API on a virtual clock; delays are from the first second with harm to the tick that told, and hold one second of lateness and the tick, but no exporter. The recorded data are read from `../shared/data`.", command, r.Seed)
	p("")
	p("## Targets")
	p("")
	p("| what | goal | measured | met |")
	p("|---|---|---|---|")
	for _, t := range targets(r, rec) {
		met := "yes"
		if !t.met {
			met = "**no**"
		}
		p("| %s | %s | %s | %s |", t.what, t.goal, t.got, met)
	}
	p("")
	p("## Beside what others do, on the same deployments")
	p("")
	p("%d deployments with a fault and as many without, ten faults × four shapes of traffic × five kinds of noise, ten minutes each. A verdict before the harm counts as false.", r.Suite[0].bad)
	p("")
	p("| judge | recall | precision | delay median | p95 | false per 1000 placebo deployments [Wilson 95 %%] |")
	p("|---|---|---|---|---|---|")
	for i, j := range r.Suite {
		p("| %s | %.1f %% | %.1f %% | %s | %s | %s |", j.name, 100*j.recall(), 100*j.precision(), seconds(quantile(j.delays, .5)), seconds(quantile(j.delays, .95)), per1000(r.Placebo[i]))
	}
	p("")
	p("The placebo deployments change nothing; their noise is AR(1) (σ 0.1, τ 20 s) on every instance's rate, error share and latency, and a persistent bias of 10 %% of each instance. The baselines are judged on every tenth of them. False by shape, ours: %s.", strings.Join(r.PlaceboN, "; "))
	p("")
	p("- static threshold: over a minute, more than 5 %% failed or more than 10 %% slower than 200 ms, of 50 requests or more.")
	p("- 3σ of an EWMA: ten-second bins, λ 0.1, of the shares of failed and of slow requests.")
	p("- Mann–Whitney canary: ten-second bins of new against old (else of the time before), at least 50 points, 1 %%, and an effect of a quarter.")
	p("- raw Poisson test: the same mixture over rate ratios, α 0.001, without margin, variance–time curve or averaging.")
	p("- E-divisive: one change point in ten-second bins, energy statistic, 99 permutations, at 1, 2, 5 and 10 minutes.")
	p("")
	p("## What was missed")
	p("")
	p("| fault | missed | | traffic | missed |")
	p("|---|---|---|---|---|")
	shapes := []shape{canary, rolling, atOnce, low}
	for i, f := range faults {
		left := r.Misses[f.name]
		right, cells := "", ""
		if i < len(shapes) {
			c := r.ByShape[shapes[i].name]
			right, cells = shapes[i].name, fmt.Sprintf("%d of %d", c[0], c[1])
		}
		p("| %s | %d of %d | | %s | %s |", f.name, left[0], left[1], right, cells)
	}
	p("")
	honest := 0
	for _, e := range r.ETAs {
		if e[1] <= 2*e[0] && e[1] >= e[0]/2 {
			honest++
		}
	}
	p("ETA honesty: of %d ETAs that were told and whose deployment was decided in its ten minutes, %.0f %% were right within a factor of two.", len(r.ETAs), 100*float64(honest)/math.Max(float64(len(r.ETAs)), 1))
	p("")
	if !rec.found {
		p("The recorded data were not there, so nothing of them is reported.")
		return b.String()
	}
	reportRecorded(p, rec)
	return b.String()
}

func reportRecorded(p func(string, ...any), rec recordedResults) {
	p("## Recorded rollouts")
	p("")
	calls := callsOf(rec.rollouts)
	top, last, steep := 0, 0, 0
	for _, c := range rec.rollouts {
		if c.ours == c.defective {
			top++
		}
		if c.naive == c.defective {
			last++
		}
		if c.steepest == c.defective {
			steep++
		}
	}
	n := len(rec.rollouts)
	p("Eleven incidents on a Kubernetes shop, two to six services released at once, one of them defective; gauges every minute. **Called** (a deployment is regressed): %d of %d incidents, rightly in %d, and %d of the %d good releases with them. The rule \"success down a point or latency above 1.5×\" calls %d of the %d defective ones and blames %d of the %d good.", calls.incidents, n, calls.right, calls.blamed, calls.good, calls.ruledRight, n, calls.ruledBlamed, calls.good)
	p("")
	p("Where nothing is called, top-1 below is only the deployment with most evidence, however little: right in %d of %d. The last deployment before the incident was noticed is right in %d, the service whose gauges moved most standard deviations in %d.", top, n, last, steep)
	p("")
	p("| incident | defective | fault | top-1 | its verdict | nats | last deployed | moved most |")
	p("|---|---|---|---|---|---|---|---|")
	for _, c := range rec.rollouts {
		verdict := c.verdict
		if c.silent {
			verdict += " (no telemetry of the new version)"
		}
		p("| %s | %s | %s | %s | %s | %.1f | %s | %s |", c.name, c.defective, c.fault, tick(c.ours, c.defective), verdict, c.nats, tick(c.naive, c.defective), tick(c.steepest, c.defective))
	}
	p("")
	p("Where the defective version never sent telemetry, it stays at the evidence of its callers (about 0 nats) while the evidence of those that do report falls below: top-1 is right there because all others are cleared, and the verdict says honestly that there is no data.")
	p("")
	p("## Published canary cases")
	p("")
	p("The arrays of a canary judge's tests, as a gauge of one new and one old instance that may be worse on both sides. One instance a side carries little: its samples count as partly dependent.")
	p("")
	p("| case | new, old points | verdict | nats |")
	p("|---|---|---|---|")
	for _, c := range rec.canary {
		p("| %s | %d, %d | %s | %.1f |", c.name, c.n, c.m, c.verdict, c.nats)
	}
	p("")
	p("## Log templates")
	p("")
	p("| system | grouping accuracy |")
	p("|---|---|")
	for _, g := range rec.grouping {
		p("| %s | %.3f |", g.system, g.accuracy)
	}
	p("")
	nabReport(p, rec.nab)
}

func tick(got, want string) string {
	if got == want {
		return "✓ " + got
	}
	return "✗ " + got
}
