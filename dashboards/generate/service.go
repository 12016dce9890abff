package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// service shows the golden signals that spans tell, with the markers.
func service() *dashboard.DashboardBuilder {
	failedTraces := []*dashboard.DashboardLinkBuilder{link("Failed traces", exploreTraces(`resource.service.name=~"${service:pipe}" && status=error`))}
	return frame("deployloop-service", "deployloop / Service",
		"Golden signals from spans (traffic, errors, latency), with a line at each deploy and verdict. Saturation is not in spans.",
		calls, "service_name", false).
		WithRow(dashboard.NewRowBuilder("Now")).
		WithPanel(number(card{title: "Traffic", unit: "reqps", width: 6, height: 4, description: "Requests a second into the service.",
			queries: []query{{expr: "sum(rate(" + calls + entries(ofThis) + "[$__rate_interval]))"}}})).
		WithPanel(number(card{title: "Failed", unit: "percentunit", width: 6, height: 4, warn: 0.01, alarm: 0.05,
			description: "Share of requests with an error.", links: failedTraces,
			queries: []query{{expr: errorShare("service_name", ofThis), legend: "{{service_name}}"}}})).
		WithPanel(number(card{title: "Latency, median", unit: "ms", width: 6, height: 4, warn: 300, alarm: 1000,
			description: "Half of the requests are faster.",
			queries:     []query{{expr: latency("0.5", "", ofThis)}}})).
		WithPanel(number(card{title: "Latency, p99", unit: "ms", width: 6, height: 4, warn: 1000, alarm: 3000,
			description: "One request of a hundred is slower.",
			queries:     []query{{expr: latency("0.99", "", ofThis)}}})).
		WithRow(dashboard.NewRowBuilder("Golden signals")).
		WithPanel(lines(card{title: "Traffic by version", unit: "reqps", width: 12, height: 8,
			description: "Requests a second by service and version: a rollout is one line taking over from the other.",
			queries:     []query{{expr: callRate("service_name, service_version", ofThis), legend: "{{service_name}} {{service_version}}"}}})).
		WithPanel(lines(card{title: "Failed requests", unit: "percentunit", width: 12, height: 8, warn: 0.01, alarm: 0.05,
			description: "Share of requests with an error, by service and version.", links: failedTraces,
			queries: []query{{expr: errorShare("service_name, service_version", ofThis), legend: "{{service_name}} {{service_version}}"}}})).
		WithPanel(lines(card{title: "Latency", unit: "ms", width: 12, height: 8,
			description: "Median, 95th and 99th percentile of the chosen services' requests. Points are exemplars: click for the trace.",
			queries: []query{
				{expr: latency("0.5", "", ofThis), legend: "p50"},
				{expr: latency("0.95", "", ofThis), legend: "p95", exemplars: true},
				{expr: latency("0.99", "", ofThis), legend: "p99"},
			}})).
		WithPanel(lines(card{title: "Evidence against what is under watch", unit: "none", width: 12, height: 8,
			description: "Evidence of harm (nats) of the deployments of this service; see the Deployment dashboard.",
			queries:     []query{{expr: "deployloop_evidence" + byDeployment(), legend: "{{service}} {{deployment}}"}},
			links:       []*dashboard.DashboardLinkBuilder{link("This deployment in the console", "${console}/deployments/${__field.labels.deployment:percentencode}")}})).
		WithRow(dashboard.NewRowBuilder("By operation")).
		WithPanel(list(card{title: "Busiest operations", unit: "reqps", width: 12, height: 9, description: "Requests a second by operation, over the time range.",
			columns: []column{{title: "requests"}},
			queries: []query{{expr: "topk(15, sum by (service_name, span_name) (rate(" + calls + entries(ofThis) + "[$__range])))"}}})).
		WithPanel(list(card{title: "Failing operations", unit: "reqps", width: 12, height: 9, description: "Failed requests a second by operation, over the time range.",
			columns: []column{{title: "failed"}},
			queries: []query{{expr: "topk(15, sum by (service_name, span_name) (rate(" + calls + entries(ofThis, failed) + "[$__range])))"}},
			links: []*dashboard.DashboardLinkBuilder{
				link("Failed traces of this operation", exploreTraces(`resource.service.name="${__data.fields.service_name}" && name="${__data.fields.span_name}" && status=error`)),
			}}))
}
