package main

import (
	"encoding/json"
	"net/url"
	"strings"
)

// place selects a loop metric's series by the variables; more is further
// matchers, e.g. `step="commit_to_deploy"`.
func place(more ...string) string {
	return "{" + strings.Join(append([]string{`service=~"$service"`, `environment=~"$environment"`}, more...), ",") + "}"
}

// byDeployment selects series of a metric that has a deployment label too.
func byDeployment(more ...string) string {
	return place(append([]string{`deployment=~"$deployment"`}, more...)...)
}

// started is the deploy marker: the value is the Unix time.
func started() string { return "deployloop_deployment_start_time_seconds" + byDeployment() }

// narrowed keeps of an expression by service and environment the places to
// which the chosen deployments went within the dashboard's time range. Loop
// metrics without a deployment label follow the variable so.
func narrowed(expr string) string {
	return expr + " and on (service, environment) last_over_time(" + started() + "[$__range])"
}

// sumOf adds up what narrowed keeps.
func sumOf(by, expr string) string {
	if by == "" {
		return "sum(" + narrowed(expr) + ")"
	}
	return "sum by (" + by + ") (" + narrowed(expr) + ")"
}

// orZero makes a missing number 0 wherever deployments are known: a gauge of
// what is open has no series while nothing is.
func orZero(number string) string {
	return number + " or 0 * " + sumOf("", "deployloop_deployments_total"+place())
}

// known leaves out what is no number: the quantile of nothing.
const known = " >= 0"

// quantile of a step of the loop, or of another histogram by place.
func quantile(q, by, bucket, window string) string {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	return "histogram_quantile(" + q + ", " + sumOf(labels, "increase("+bucket+"["+window+"])") + ")" + known
}

func step(name string) string {
	return "deployloop_loop_latency_seconds_bucket" + place(`step="`+name+`"`)
}

// entries selects the requests that came into a service, as contrib's
// span_metrics counts them (dashboards/collector.yaml).
func entries(more ...string) string {
	return "{" + strings.Join(append([]string{
		`service_name=~"$service"`, `deployment_environment_name=~"$environment"`,
		`span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"`,
	}, more...), ",") + "}"
}

const (
	calls    = "traces_span_metrics_calls_total"
	duration = "traces_span_metrics_duration_milliseconds_bucket"
	ofThis   = `deployment_id=~"$deployment"`
	ofOthers = `deployment_id!~"$deployment"`
	failed   = `status_code="STATUS_CODE_ERROR"`
)

func callRate(by string, more ...string) string {
	return "sum by (" + by + ") (rate(" + calls + entries(more...) + "[$__rate_interval]))"
}

// errorShare is failed over all. A series of failures that does not exist yet
// is no failure: the denominator times 0 fills in.
func errorShare(by string, more ...string) string {
	all := callRate(by, more...)
	return "(" + callRate(by, append(more, failed)...) + " or 0 * " + all + ") / (" + all + " > 0)"
}

func latency(q, by string, more ...string) string {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	return "histogram_quantile(" + q + ", sum by (" + labels + ") (rate(" + duration + entries(more...) + "[$__rate_interval])))" + known
}

func quoteJSON(s string) string {
	quoted, _ := json.Marshal(s) // a string always marshals
	return string(quoted[1 : len(quoted)-1])
}

// percent encodes all but Grafana's ${variables}, which it fills in itself.
func percent(s string) string {
	encoded := url.QueryEscape(s)
	return strings.NewReplacer("%24%7B", "${", "%7D", "}", "+", "%20").Replace(encoded)
}
