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

// target is one line of what the engine must reach, and what nothing could beat.
type target struct {
	what, goal, moonshot, got string
	met, beyond               bool   // the goal, and the moonshot
	limit                     string // of information, "" without one
	why                       string // what the distance is spent on
}

// both reads "14 s / 35 s".
func both(x []float64) string { return seconds(quantile(x, .5)) + " / " + seconds(quantile(x, .95)) }

func within(x []float64, median, p95 float64) bool {
	return quantile(x, .5) <= median && quantile(x, .95) <= p95
}

func targets(r results, rec recordedResults) []target {
	ours, l := r.Suite[0], &r.Limits
	healthy := quantile(r.Healthy, .5)
	if len(r.Healthy)*2 < r.HealthyN {
		healthy = math.Inf(1)
	}
	rate := 1000 * float64(r.Placebo[0].falsePositive) / math.Max(float64(r.Placebo[0].good), 1)
	onset := quantile(r.Onsets, .5)
	price := fmt.Sprintf("%.1f nats are asked for at first, not ln 1000 = %.1f: ", callNats, math.Log(1000)) +
		fmt.Sprintf("ln 8 for not knowing the ratio, %.1f for other indicators, ln 2 for other begins, ln 2 while uncalibrated", -math.Log(firstShare))
	out := []target{
		{what: "errors 1 → 3 %, 100 new + 900 old requests/s, iid", goal: "≤ 20 s median, ≤ 50 s p95", moonshot: "≤ 15 / 35 s", got: both(r.Errors[0]),
			met: within(r.Errors[0], 20, 50), beyond: within(r.Errors[0], 15, 35),
			limit: fmt.Sprintf("%s; %s with the old rate unknown and the margin of a tenth; %s at the nats asked for", both(l.Errors), both(l.Paired), both(l.Priced)), why: price + "; φ and a control that varies take the rest"},
		{what: "the same with AR(1) noise and pod bias", goal: "the same", moonshot: "the same", got: both(r.Errors[1]),
			met: within(r.Errors[1], 20, 50), beyond: within(r.Errors[1], 15, 35), limit: "as above, without noise", why: "the same, and noise that φ allows for"},
		{what: "hard failure: 20 % errors, 10 new + 90 old requests/s", goal: "≤ 8 / 15 s", moonshot: "≤ 4 s", got: both(r.Hard),
			met: within(r.Hard, 8, 15), beyond: quantile(r.Hard, .5) <= 4, limit: both(l.Hard), why: "the same price: two failures a second are worth two nats each at most"},
		{what: "hard failure: a new exception in every second request, same traffic", goal: "≤ 8 / 15 s", moonshot: "≤ 4 s", got: both(r.Thrown),
			met: within(r.Thrown, 8, 15), beyond: quantile(r.Thrown, .5) <= 4, limit: both(l.Thrown), why: "three occurrences at least"},
		{what: "false regressed per 1000 placebo deployments (AR(1) noise, pod bias), Wilson 95 %", goal: "≤ 5", moonshot: "≤ 1", got: per1000(r.Placebo[0]),
			met: rate <= 5, beyond: rate <= 1},
		{what: "recall / precision on the injected suite", goal: "90 / 95 %", moonshot: "99 / 99 %", got: fmt.Sprintf("%.1f / %.1f %%", 100*ours.recall(), 100*ours.precision()),
			met: ours.recall() >= .9 && ours.precision() >= .95, beyond: ours.recall() >= .99 && ours.precision() >= .99,
			limit: fmt.Sprintf("%.1f %%, %s", 100*l.Suite.recall(), both(l.Suite.delays)), why: fmt.Sprintf("delays of %s: warm-up's 30 s for latency; what instances differ in by themselves (σ .15 to .7 of latency tails) is no harm of the version, so the evidence of a small shift in a few instances ends below the threshold", both(ours.delays))},
		{what: "time to healthy, 100 new + 900 old requests/s", goal: "≤ 300 s median", moonshot: "≤ 120 s", got: fmt.Sprintf("%s median, %s p95, %d of %d healthy in 20 min", seconds(healthy), seconds(quantile(r.Healthy, .95)), len(r.Healthy), r.HealthyN),
			met: healthy <= 300, beyond: healthy <= 120, limit: both(l.Healthy) + ", but not before the first checkpoint of 60 s", why: "the control's rate is unknown (a bound of it is used), the whole and its largest operation must both show it, and the grid"},
		{what: "onset error over the suite", goal: "≤ 5 s median", moonshot: "≤ 2 s", got: fmt.Sprintf("%s median, %s p95", seconds(onset), seconds(quantile(r.Onsets, .95))),
			met: onset <= 5, beyond: onset <= 2, limit: both(l.Onsets), why: "latency is not looked at while instances warm up (30 s); at a few requests a second the first events come late by themselves"},
	}
	if rec.found {
		c := callsOf(rec.rollouts)
		right := float64(c.right) / math.Max(float64(c.incidents), 1)
		out = append(out, target{what: "recorded concurrent rollouts: deployment top-1 of the incidents that are called", goal: "≥ 90 %, at most 5 % of the good blamed", moonshot: "≥ 98 %",
			got: fmt.Sprintf("%d of %d called, of %d; %d of %d good blamed", c.right, c.incidents, len(rec.rollouts), c.blamed, c.good),
			met: c.incidents > 0 && right >= .9 && float64(c.blamed) <= .05*float64(c.good), beyond: c.incidents > 0 && right >= .98 && c.blamed == 0})
		sum := meanAccuracy(rec.grouping)
		out = append(out, target{what: fmt.Sprintf("log grouping accuracy, streaming, mean of %d recorded systems", len(rec.grouping)), goal: "≥ .90", moonshot: ".95", got: fmt.Sprintf("%.3f", sum), met: sum >= .9, beyond: sum >= .95,
			limit: "1 (of language models .97)", why: "templates whose variable part is a word, below"})
	}
	return out
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}

func reportTargets(p func(string, ...any), list []target) {
	p("## Targets")
	p("")
	p("| what | goal | measured | met | moonshot | met |")
	p("|---|---|---|---|---|---|")
	for _, t := range list {
		p("| %s | %s | %s | %s | %s | %s |", t.what, t.goal, t.got, yes(t.met), t.moonshot, yes(t.beyond))
	}
	p("")
	p("## Distance to the information limit")
	p("")
	p("The limit is what a likelihood ratio test needs that knows the traffic, both rates, the kind of harm and the second in which it would begin, on independent counts and at the same rate of false alarms, with the second of lateness (`limits.go`); none is faster on average. Median and p95.")
	p("")
	p("| what | measured | limit | what the distance is spent on |")
	p("|---|---|---|---|")
	for _, t := range list {
		if t.limit != "" {
			p("| %s | %s | %s | %s |", t.what, t.got, t.limit, t.why)
		}
	}
	p("")
	p("Cost: `docs/cost.md`. False alarms have no limit but α.")
	p("")
}

// card writes the whole scorecard as Markdown.
func card(command string, r results, rec recordedResults) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Scorecard")
	p("")
	p("Written by `%s` (seed %d); every number below comes from that run. The traffic is simulated request by request through the engine's public API on a virtual clock; delays are from the first second with harm to the tick that told, and hold one second of lateness and the tick, but no exporter. The recorded data are read from `../shared/data`.", command, r.Seed)
	p("")
	reportTargets(p, targets(r, rec))
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
	reportETAs(p, r.ETAs)
	reportRestless(p, r.Restless)
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
	last, steep := 0, 0
	for _, c := range rec.rollouts {
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
	p("Where nothing is called, top-1 below is only the deployment with most evidence, however little: right in %d of %d. The last deployment before the incident was noticed is right in %d, the service whose gauges moved most standard deviations in %d.", rolloutsTop(rec.rollouts), n, last, steep)
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
	reportCanary(p, rec.canary)
	reportSeries(p, rec.series)
	p("## Log templates")
	p("")
	p("| system | grouping accuracy |")
	p("|---|---|")
	for _, g := range rec.grouping {
		p("| %s | %.3f |", g.system, g.accuracy)
	}
	p("")
	reportCommits(p, rec.commits)
	reportCILogs(p, rec.ciLogs)
	nabReport(p, rec.nab)
}

func tick(got, want string) string {
	if got == want {
		return "✓ " + got
	}
	return "✗ " + got
}
