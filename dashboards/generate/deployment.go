package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// deployment looks at one deployment: before and after, evidence, errors.
func deployment() *dashboard.DashboardBuilder {
	return frame("deployloop-deployment", "deployloop / Deployment",
		"One deployment: what it is, what was found against it, and its requests beside those of all else that served.",
		"deployloop_deployment_start_time_seconds", "service", true).
		Time("now-3h", "now").
		WithRow(dashboard.NewRowBuilder("What went out")).
		WithPanel(list(card{title: "The deployment", unit: "string", width: 16, height: 5,
			description: "Service, version, commit and begin of the rollout. Links: the console's page with evidence and suspects, the commit with its diff, the traces.",
			columns:     []column{{title: "began", unit: "dateTimeAsIso", width: 170}},
			queries:     []query{{expr: "last_over_time(" + started() + "[$__range]) * 1000"}},
			links: []*dashboard.DashboardLinkBuilder{
				link("Evidence and suspects in the console", "${console}/deployments/${__data.fields.deployment:percentencode}"),
				link("The commit", "${console}/changes/${__data.fields.revision:percentencode}"),
				link("Its traces", exploreTraces(`resource.deployment.id="${__data.fields.deployment}"`)),
			}})).
		WithPanel(list(card{title: "Verdict", unit: "string", width: 8, height: 5,
			description: "What the verdict became, and when. None while it is under watch.",
			queries:     []query{{expr: "max by (verdict) (last_over_time(deployloop_deployment_verdict_time_seconds" + byDeployment() + "[$__range])) * 1000"}},
			columns:     []column{{title: "since", unit: "dateTimeAsIso", width: 170}},
			links:       []*dashboard.DashboardLinkBuilder{link("Why, in the console", "${console}/deployments/${deployment:percentencode}")}})).
		WithRow(dashboard.NewRowBuilder("Evidence")).
		WithPanel(lines(card{title: "Evidence against it", unit: "none", width: 8, height: 8,
			description: "Evidence of harm (log E, in nats) and the line above which the deployment is called regressed. See docs/detection.md.",
			queries: []query{
				{expr: "deployloop_evidence" + byDeployment(), legend: "evidence"},
				{expr: "deployloop_evidence_threshold" + byDeployment(), legend: "regressed from here"},
			}})).
		WithPanel(lines(card{title: "Effect, by signal", unit: "x", width: 8, height: 8, warn: 1.1, alarm: 2, logarithmic: true,
			description: "Strongest indicator of each signal: rate after the deployment over rate before. 1 is unchanged.",
			queries:     []query{{expr: "max by (signal) (deployloop_effect_ratio" + byDeployment() + ")", legend: "{{signal}}"}}})).
		WithPanel(lines(card{title: "Open anomalies of this service", unit: "short", width: 8, height: 8,
			description: "Roll-ups, symptoms and always-on anomalies that are open where this deployment went.",
			queries:     []query{{expr: sumOf("kind, severity", "deployloop_anomalies_open"+place()), legend: "{{kind}} {{severity}}"}},
			links:       []*dashboard.DashboardLinkBuilder{link("Open alerts in the console", "${console}/alerts")}})).
		WithPanel(list(card{title: "Indicators, strongest first", unit: "short", width: 14, height: 8,
			description: "What moved: the evidence of each indicator (nats) at its height, and the last seen rate after the deployment over before. Intervals and counts are on the console's page.",
			columns:     []column{{title: "evidence", unit: "none"}, {title: "after / before", unit: "x"}},
			queries: []query{
				{expr: "max by (signal, operation) (max_over_time(deployloop_indicator_evidence" + byDeployment() + "[$__range]))"},
				{expr: "max by (signal, operation) (last_over_time(deployloop_effect_ratio" + byDeployment() + "[$__range]))"},
			},
			links: []*dashboard.DashboardLinkBuilder{link("Evidence in the console", "${console}/deployments/${deployment:percentencode}")}})).
		WithPanel(list(card{title: "Suspects", unit: "percentunit", width: 10, height: 8,
			description: "The likeliest commits, when a regressed deployment's range was ranked. Reasons, diffs and owners are on the console's page; with none above its threshold deployloop abstains.",
			columns:     []column{{title: "probability", width: 110}},
			queries:     []query{{expr: "max by (revision) (last_over_time(deployloop_suspect_probability_ratio" + byDeployment() + "[$__range]))"}},
			links: []*dashboard.DashboardLinkBuilder{
				link("The commit", "${console}/changes/${__data.fields.revision:percentencode}"),
				link("Why these, in the console", "${console}/deployments/${deployment:percentencode}"),
			}})).
		WithRow(dashboard.NewRowBuilder("This deployment beside all else")).
		WithPanel(lines(card{title: "Requests", unit: "reqps", width: 8, height: 8,
			description: "Requests a second into the service, by version.",
			queries: []query{
				{expr: callRate("service_version", ofThis), legend: "{{service_version}} (this)"},
				{expr: callRate("service_version", ofOthers), legend: "{{service_version}}"},
			}})).
		WithPanel(lines(card{title: "Failed requests", unit: "percentunit", width: 8, height: 8, warn: 0.01, alarm: 0.05,
			description: "Share of requests with an error, by version.",
			queries: []query{
				{expr: errorShare("service_version", ofThis), legend: "{{service_version}} (this)"},
				{expr: errorShare("service_version", ofOthers), legend: "{{service_version}}"},
			},
			links: []*dashboard.DashboardLinkBuilder{link("Failed traces", exploreTraces(`resource.service.name=~"${service:pipe}" && status=error`))}})).
		WithPanel(lines(card{title: "Latency, p95", unit: "ms", width: 8, height: 8,
			description: "95th percentile of request duration, by version.",
			queries: []query{
				{expr: latency("0.95", "service_version", ofThis), legend: "{{service_version}} (this)", exemplars: true},
				{expr: latency("0.95", "service_version", ofOthers), legend: "{{service_version}}"},
			}})).
		WithRow(dashboard.NewRowBuilder("Related errors")).
		WithPanel(list(card{title: "Operations of this deployment by failures", unit: "reqps", width: 24, height: 8,
			description: "The ten operations with most failed requests a second in this deployment. Their traces, exceptions and log lines are on the console's page.",
			columns:     []column{{title: "failed"}},
			queries:     []query{{expr: "topk(10, sum by (service_name, span_name) (rate(" + calls + entries(ofThis, failed) + "[$__range])))"}},
			links: []*dashboard.DashboardLinkBuilder{
				link("Failed traces of this operation", exploreTraces(`resource.service.name="${__data.fields.service_name}" && name="${__data.fields.span_name}" && status=error`)),
				link("Related errors in the console", "${console}/deployments/${deployment:percentencode}"),
			}}))
}
