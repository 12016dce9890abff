package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// build shows pipelines: outcomes, durations, queues, and how builds get out.
func build() *dashboard.DashboardBuilder {
	const (
		runs  = `deployloop_pipeline_runs_total{pipeline=~"$pipeline",level="run"}`
		tests = `deployloop_pipeline_runs_total{pipeline=~"$pipeline",stage="test"}`
		took  = `deployloop_pipeline_run_duration_seconds_bucket{pipeline=~"$pipeline",level="run"}`
		cicd  = `{cicd_pipeline_name=~"$pipeline"}`
		queue = `cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_name=~"$pipeline",cicd_pipeline_run_state="pending"}`
	)
	share := func(of, result string) string {
		all := "sum(increase(" + of + "[$__range]))"
		return "(sum(increase(" + of[:len(of)-1] + `,result="` + result + `"}[$__range])) or 0 * ` + all + ") / (" + all + " > 0)"
	}
	return frame("deployloop-build", "deployloop / Build and test",
		"Pipelines: outcomes, durations and queues, and how long builds wait to go out. Runs belong to a repository, not to a service: they follow the pipeline variable; the last row and the markers follow the others.",
		"deployloop_deployment_start_time_seconds", "service", false).
		Time("now-24h", "now").
		WithVariable(values("pipeline", "Pipeline", "label_values(deployloop_pipeline_runs_total, pipeline)", true)).
		WithRow(dashboard.NewRowBuilder("Outcomes, over the time range")).
		WithPanel(number(card{title: "Runs", unit: "short", width: 6, height: 4, whole: true, description: "Finished pipeline runs.",
			queries: []query{{expr: "sum(increase(" + runs + "[$__range]))"}}})).
		WithPanel(number(card{title: "Runs that succeed", unit: "percentunit", width: 6, height: 4, lowIsBad: true, warn: 0.9, alarm: 0.7,
			description: "Share of finished runs with the result success.",
			queries:     []query{{expr: share(runs, "success")}}})).
		WithPanel(number(card{title: "Test runs that fail", unit: "percentunit", width: 6, height: 4, warn: 0.05, alarm: 0.2,
			description: "Share of finished runs and tasks of the test stage with the result failure.",
			queries:     []query{{expr: share(tests, "failure")}}})).
		WithPanel(number(card{title: "Running or queued", unit: "short", width: 6, height: 4,
			description: "Runs that were told of in the last 24 hours and have not finished.",
			// Of what is over there is no series.
			queries: []query{{expr: "sum(cicd_pipeline_run_active" + cicd + ") or 0 * sum(" + runs + ")"}}})).
		WithRow(dashboard.NewRowBuilder("Runs and tasks")).
		WithPanel(lines(card{title: "Results by stage", unit: "short", width: 12, height: 8, stacked: true,
			description: "Finished runs and tasks by stage (build, test, deploy, post-deploy) and result.",
			queries:     []query{{expr: `sum by (stage, result) (increase(deployloop_pipeline_runs_total{pipeline=~"$pipeline"}[$__rate_interval]))`, legend: "{{stage}} {{result}}"}}})).
		WithPanel(lines(card{title: "Duration of runs, p95", unit: "s", width: 12, height: 8,
			description: "95th percentile of the duration of finished runs, without their time in the queue, over a sliding 6 hours.",
			queries:     []query{{expr: "histogram_quantile(0.95, sum by (le, pipeline) (increase(" + took + "[6h])))" + known, legend: "{{pipeline}}"}}})).
		WithPanel(lines(card{title: "Time in the queue, p95", unit: "s", width: 12, height: 8,
			description: "How long runs waited for a runner, over a sliding 6 hours.",
			queries:     []query{{expr: "histogram_quantile(0.95, sum by (le, cicd_pipeline_name) (increase(" + queue + "[6h])))" + known, legend: "{{cicd_pipeline_name}}"}}})).
		WithPanel(lines(card{title: "Failed runs", unit: "short", width: 12, height: 8, stacked: true,
			description: "Runs that ended otherwise than well, by pipeline and result.",
			queries:     []query{{expr: `sum by (pipeline, result) (increase(deployloop_pipeline_runs_total{pipeline=~"$pipeline",level="run",result!="success"}[$__rate_interval]))`, legend: "{{pipeline}} {{result}}"}}})).
		WithPanel(list(card{title: "Slowest tasks", unit: "s", width: 24, height: 8,
			description: "Mean duration of tasks over the time range, slowest first.",
			columns:     []column{{title: "mean duration"}},
			queries: []query{{expr: `topk(15, sum by (cicd_pipeline_name, cicd_pipeline_task_name) (rate(deployloop_pipeline_task_duration_seconds_sum` + cicd + "[$__range])) / " +
				`(sum by (cicd_pipeline_name, cicd_pipeline_task_name) (rate(deployloop_pipeline_task_duration_seconds_count` + cicd + "[$__range])) > 0))"}}})).
		WithRow(dashboard.NewRowBuilder("From build to deploy")).
		WithPanel(lines(card{title: "Build → deploy, median", unit: "s", width: 12, height: 8,
			description: "From the end of a build to the begin of the rollout, by service, over a sliding 6 hours.",
			queries:     []query{{expr: quantile("0.5", "service", step("build_to_deploy"), "6h"), legend: "{{service}}"}}})).
		WithPanel(lines(card{title: "Deployments and rollbacks", unit: "short", width: 12, height: 8, stacked: true,
			description: "Deployments, and those that undid another one.",
			queries: []query{
				{expr: sumOf("service", "increase(deployloop_deployments_total"+place()+"[$__rate_interval])"), legend: "{{service}} deployed"},
				{expr: sumOf("service", "increase(deployloop_rollbacks_total"+place()+"[$__rate_interval])"), legend: "{{service}} rolled back"},
			}}))
}
