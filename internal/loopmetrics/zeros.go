package loopmetrics

import "github.com/deployloop/deployloop/internal/event"

// Prometheus' increase() does not see the first event of a series that appears
// with it: of a service that is deployed once a month, no deployment, verdict
// or closure would ever be counted. So the series exist, at zero, as soon as it
// is known that they can be needed.

// roomForZeros is the part of a family's series that those at zero may take.
const roomForZeros = maxSeries / 2

func (s *series) zero(labels ...string) {
	if len(s.points) < roomForZeros {
		s.at(labels...)
	}
}

// expectAt opens the series of a place.
func (t *Tracker) expectAt(service, environment string) {
	place := []string{"service", service, "environment", environment}
	with := func(more ...string) []string { return append(place[:len(place):len(place)], more...) }
	t.deployed.zero(place...)
	t.untracked.zero(place...)
	t.rollbacks.zero(place...)
	t.recovery.zero(place...)
	for _, state := range []event.VerdictState{event.Healthy, event.Regressed, event.Inconclusive, event.Exonerated} {
		t.verdicts.zero(with("verdict", string(state))...)
	}
	for _, outcome := range []string{"named", "abstained"} {
		t.suspicions.zero(with("outcome", outcome)...)
	}
	for _, reason := range []event.ClosureReason{
		event.ClosedRolledBack, event.ClosedFixedBy, event.ClosedRecovered, event.ClosedWaived, event.ClosedSuperseded, event.ClosedExonerated,
	} {
		t.closed.zero(with("kind", string(event.KindDeployment), "reason", string(reason))...)
	}
	for _, step := range []string{"commit_to_deploy", "commit_to_build", "build_to_deploy", "deploy_to_first_telemetry", "first_telemetry_to_verdict", "first_bad_to_verdict"} {
		t.latency.zero(with("step", step)...)
	}
	t.latency.zero(with("step", "verdict_to_told", "channel", string(event.ChannelAlertmanager))...)
}

// expectRun opens the series of a run's or task's end.
func (t *Tracker) expectRun(pipeline, level string, stage event.Stage) {
	t.flaked.zero("pipeline", pipeline, "level", level, "stage", string(stage))
	for _, result := range []string{"success", "failure"} {
		labels := []string{"pipeline", pipeline, "level", level, "stage", string(stage), "result", result}
		t.runResults.zero(labels...)
		t.runDuration.zero(labels...)
	}
}
