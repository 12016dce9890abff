package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// loop says whether the loop is fast and closed, and DORA's four keys.
func loop() *dashboard.DashboardBuilder {
	const latencies = "deployloop_loop_latency_seconds_bucket"
	// A rollback undoes a delivery and is none itself.
	delivered := sumOf("", "(increase(deployloop_deployments_total"+place()+"[$__range]) - increase(deployloop_rollbacks_total"+place()+"[$__range]))")
	return frame("deployloop-loop", "deployloop / Loop",
		"Is the feedback loop fast, and is it closed? DORA's four keys fall out of it.",
		"deployloop_deployment_start_time_seconds", "service", false).
		Time("now-7d", "now").
		WithRow(dashboard.NewRowBuilder("DORA's four keys, over the time range")).
		WithPanel(number(card{title: "Deployments a day", unit: "short", width: 6, height: 4, lowIsBad: false,
			description: "Deployment frequency: deployments that were seen and undo no other, over the days of the time range.",
			queries:     []query{{expr: delivered + " / ($__range_s / 86400)"}}})).
		WithPanel(number(card{title: "Lead time for changes", unit: "s", width: 6, height: 4, warn: 86400, alarm: 604800,
			description: "Median time from commit to begin of the rollout.",
			queries:     []query{{expr: quantile("0.5", "", step("commit_to_deploy"), "$__range")}}})).
		WithPanel(number(card{title: "Change failure rate", unit: "percentunit", width: 6, height: 4, warn: 0.1, alarm: 0.3,
			description: "Deployments whose verdict became regressed, over all that undo no other.",
			queries: []query{{expr: sumOf("", `increase(deployloop_verdicts_total`+place(`verdict="regressed"`)+"[$__range])") +
				" / (" + delivered + " > 0)"}}})).
		WithPanel(number(card{title: "Time to restore", unit: "s", width: 6, height: 4, warn: 3600, alarm: 86400,
			description: "Median time from a regression's onset to its closure.",
			queries:     []query{{expr: quantile("0.5", "", "deployloop_recovery_duration_seconds_bucket"+place(), "$__range")}}})).
		WithRow(dashboard.NewRowBuilder("Is it fast?")).
		WithPanel(number(card{title: "First bad request → verdict, p95", unit: "s", width: 6, height: 5, warn: 60, alarm: 120,
			description: "95th percentile over the time range, from the first bad request to the verdict regressed. Runbook: docs/runbooks/LoopSlow.md.",
			queries:     []query{{expr: quantile("0.95", "", step("first_bad_to_verdict"), "$__range")}}})).
		WithPanel(number(card{title: "Deploy → first telemetry, median", unit: "s", width: 6, height: 5, warn: 60, alarm: 300,
			description: "From the begin of a rollout to the first telemetry of the new version.",
			queries:     []query{{expr: quantile("0.5", "", step("deploy_to_first_telemetry"), "$__range")}}})).
		WithPanel(lines(card{title: "Each step of the loop, median of 6 hours", unit: "s", width: 12, height: 10, logarithmic: true,
			description: "Median duration of each step, over a sliding 6 hours. Points are exemplars: click one of a verdict for a trace.",
			queries:     []query{{expr: quantile("0.5", "step", latencies+place(), "6h"), legend: "{{step}}", exemplars: true}}})).
		WithPanel(number(card{title: "Suspects named", unit: "percentunit", width: 6, height: 5, lowIsBad: true, warn: 0.8, alarm: 0.5,
			description: "Of the regressed deployments, the share for which a commit was named instead of abstaining.",
			queries: []query{{expr: sumOf("", `increase(deployloop_suspicions_total`+place(`outcome="named"`)+"[$__range])") +
				" / (" + sumOf("", "increase(deployloop_suspicions_total"+place()+"[$__range])") + " > 0)"}}})).
		WithPanel(number(card{title: "Under watch", unit: "short", width: 6, height: 5,
			description: "Deployments that are being compared with what served before.",
			queries:     []query{{expr: orZero(sumOf("", "deployloop_deployments_watched"+place()))}}})).
		WithRow(dashboard.NewRowBuilder("Is it closed?")).
		WithPanel(number(card{title: "Open anomalies", unit: "short", width: 4, height: 5, warn: 1, alarm: 5,
			description: "Anomalies that nobody and nothing has ended yet.",
			queries:     []query{{expr: orZero(sumOf("", "deployloop_anomalies_open"+place()))}},
			links:       []*dashboard.DashboardLinkBuilder{link("Open alerts in the console", "${console}/alerts")}})).
		WithPanel(number(card{title: "Oldest open", unit: "s", width: 4, height: 5, warn: 3600, alarm: 86400,
			description: "Age of the oldest open anomaly. Runbook: docs/runbooks/AnomalyUnclosed.md.",
			queries:     []query{{expr: orZero("max(" + narrowed("deployloop_anomalies_open_age_seconds"+place()) + ")")}}})).
		WithPanel(lines(card{title: "How anomalies ended", unit: "short", width: 8, height: 10, stacked: true,
			description: "Closed anomalies by reason: rolled_back, fixed_by, recovered, waived, superseded, exonerated, unheard.",
			colors:      map[string]string{"rolled_back": "blue", "fixed_by": "green", "recovered": "semi-dark-green", "waived": "yellow", "superseded": "purple", "exonerated": "text", "unheard": "orange"},
			queries:     []query{{expr: sumOf("reason", "increase(deployloop_anomalies_closed_total"+place()+"[$__rate_interval])"), legend: "{{reason}}"}}})).
		WithPanel(lines(card{title: "Verdicts", unit: "short", width: 8, height: 10, stacked: true,
			description: "What deployments' verdicts became.",
			colors:      map[string]string{"healthy": "green", "regressed": "red", "inconclusive": "yellow", "exonerated": "blue", "watching": "text"},
			queries:     []query{{expr: sumOf("verdict", "increase(deployloop_verdicts_total"+place()+"[$__rate_interval])"), legend: "{{verdict}}"}}})).
		WithPanel(number(card{title: "Deaf", unit: "short", width: 4, height: 5, warn: 1, alarm: 3,
			description: "Deployments that were told of, but whose telemetry does not arrive. Runbook: docs/runbooks/LoopDeaf.md.",
			queries:     []query{{expr: orZero(sumOf("", "deployloop_deployments_phantom"+place()))}}})).
		WithPanel(number(card{title: "Untracked", unit: "short", width: 4, height: 5, whole: true, warn: 1, alarm: 5,
			description: "New versions in telemetry that no deploy source told of, in the time range. Runbook: docs/runbooks/UntrackedChange.md.",
			queries:     []query{{expr: sumOf("", "increase(deployloop_deployments_untracked_total"+place()+"[$__range])")}}})).
		WithRow(dashboard.NewRowBuilder("The detector itself (all services)")).
		WithPanel(lines(card{title: "Telemetry not used", unit: "cps", width: 8, height: 7,
			description: "Items a second that detection did not use as they came, by reason. Not by service: the detector counts it as a whole.",
			queries:     []query{{expr: "sum by (reason) (rate(deployloop_telemetry_lost_total[$__rate_interval]))", legend: "{{reason}}"}}})).
		WithPanel(lines(card{title: "What the detector holds", unit: "short", width: 8, height: 7,
			description: "Services, sources, operations, patterns, watches and indicators in memory; each has a limit.",
			queries:     []query{{expr: "sum by (kind) (deployloop_detector_size)", legend: "{{kind}}"}}})).
		WithPanel(lines(card{title: "Search without a deployment", unit: "short", width: 8, height: 7, stacked: true,
			description: "Services by how the search for what gets worse without a deployment stands with them: on, learning (hard failures at most), deployment (one is watched), silent, left_out (raise always_on::indicators or limits::memory_mib), off.",
			colors:      map[string]string{"on": "green", "learning": "blue", "deployment": "purple", "silent": "text", "left_out": "orange", "off": "semi-dark-red"},
			queries:     []query{{expr: "sum by (state) (deployloop_always_on_services)", legend: "{{state}}"}}}))
}
