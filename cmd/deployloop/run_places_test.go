package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/receiver/cicdreceiver"
	"github.com/deployloop/deployloop/test/servertest"
)

// loop is the cicd receiver, and behind it what judges builds.
type loop struct {
	t        *testing.T
	store    *judge.Store
	endpoint string
	now      time.Time
}

func startLoop(t *testing.T) *loop {
	t.Helper()
	l := &loop{t: t, now: time.Now(), endpoint: "http://" + servertest.FreeAddress(t)}
	l.store = judge.NewStore(judge.Options{Trunks: []string{"main"}, Quiet: time.Minute, Mode: func(string) event.Mode { return event.Advise }, Limits: judge.DefaultLimits})
	factory := cicdreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*cicdreceiver.Config)
	cfg.NetAddr.Endpoint = strings.TrimPrefix(l.endpoint, "http://")
	next, err := consumer.NewLogs(l.take)
	require.NoError(t, err)
	r, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.WithoutCancel(t.Context()), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, component.Component(r).Shutdown(context.Background())) })
	return l
}

// take gives each record to the judge, as the anomaly connector does.
func (l *loop) take(_ context.Context, logs plog.Logs) error {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				var err error
				switch eventotlp.Name(record) {
				case event.NameTestResult:
					var x event.TestResult
					x, err = eventotlp.DecodeTestResult(resource.Resource(), record)
					l.store.Test(x, l.now)
				case event.NameFinding:
					var x event.Finding
					x, err = eventotlp.DecodeFinding(resource.Resource(), record)
					l.store.Finding(x, l.now)
				case event.NameReport:
					var x event.Report
					x, err = eventotlp.DecodeReport(resource.Resource(), record)
					l.store.Report(x, l.now)
				case event.NamePipelineRun:
					var x event.PipelineRun
					x, err = eventotlp.DecodePipelineRun(resource.Resource(), record)
					l.store.PipelineRun(x, l.now)
				}
				require.NoError(l.t, err)
			}
		}
	}
	return nil
}

// lint runs a linter that prints these lines, as a step at a commit, and gives the
// alerts that it opens or closes.
func (l *loop) lint(revision, script string) []event.Anomaly {
	l.t.Helper()
	_, notes, _ := runStep(l.t, "--endpoint", l.endpoint, "--name", "lint", "--revision", revision, "--", "sh", "-c", script)
	require.NotContains(l.t, notes, "not sent")
	l.now = l.now.Add(2 * time.Minute)
	_, alerts := l.store.Tick(l.now)
	return alerts
}

// What a linter prints, and no report tells, is found and mended in the loop as well.
func TestPlacesOfAStepCloseInTheLoop(t *testing.T) {
	const leak, shadow = "echo 'cart.go:3: body is not closed'; ", "echo 'cart.go:9: x is shadowed'; "
	module(t, map[string]string{})
	l := startLoop(t)
	require.Empty(t, l.lint("aaaaaaa1", "true"))

	opened := l.lint("bbbbbbb1", leak+shadow+"exit 1")
	require.Len(t, opened, 1)
	require.True(t, opened[0].Open)
	require.Len(t, opened[0].Feedback.Judgements, 2)

	for _, revision := range []string{"ccccccc1", "ddddddd1"} { // a linter that crashes found nothing, and proves nothing
		for _, a := range l.lint(revision, "exit 3") {
			if a.ID == opened[0].ID {
				require.True(t, a.Open)
			}
		}
	}
	still := l.lint("eeeeeee1", leak+"exit 1")
	require.NotEmpty(t, still)
	var over []string
	for _, j := range still[0].Feedback.Judgements {
		if j.Closure != nil {
			over = append(over, j.Finding.Message)
		}
	}
	require.Equal(t, []string{"x is shadowed"}, over)
	require.True(t, still[0].Open)

	closed := l.lint("fffffff1", "true")
	require.NotEmpty(t, closed)
	for _, a := range closed {
		require.False(t, a.Open)
	}
}

// With a baseline file too: a run that is clean says what it mended.
func TestPlacesThatAreMendedAreTold(t *testing.T) {
	module(t, map[string]string{})
	_, _, code := runStep(t, "--name", "lint", "--baseline", "b.json", "--update", "--revision", "aaaaaaa1", "--", "sh", "-c", "echo 'cart.go:3: body is not closed'; exit 1")
	require.Equal(t, 1, code)
	out, _, _ := runStep(t, "--name", "lint", "--baseline", "b.json", "--revision", "bbbbbbb1", "--", "sh", "-c", "exit 3")
	require.NotContains(t, out, "FIXED", "a linter that crashed")
	out, _, code = runStep(t, "--name", "lint", "--baseline", "b.json", "--revision", "bbbbbbb1", "--", "true")
	require.Zero(t, code)
	require.Contains(t, out, "FIXED FINDING  lint output\n    cart.go:3\n")
}

// Nor does the loop miss the tests behind one that panicked, or end their alerts.
func TestWhatAPanicKeptIsNotGoneInTheLoop(t *testing.T) {
	module(t, map[string]string{})
	l := startLoop(t)
	event := func(action, test, output string) string {
		return `{"Action":"` + action + `","Package":"acme/cart","Test":"` + test + `","Output":"` + output + "\"}\n"
	}
	passes := event("run", "TestA", "") + event("pass", "TestA", "") + event("run", "TestB", "")
	whole := `{"Action":"fail","Package":"acme/cart"}` + "\n"
	panics := event("run", "TestA", "") + event("output", "TestA", `panic: oh\n`) + event("fail", "TestA", "") + event("output", "", `FAIL\tacme/cart\t0.1s\n`)
	report := func(revision, text string) (calls []string) {
		out, _ := runReport(t, text, "--endpoint", l.endpoint, "--revision", revision, "-")
		require.NotContains(t, out, "not sent")
		l.now = l.now.Add(2 * time.Minute)
		feedback, alerts := l.store.Tick(l.now)
		for _, f := range feedback {
			for _, j := range f.Judgements {
				calls = append(calls, string(j.Call)+" "+j.Test.Case)
			}
		}
		for _, a := range alerts {
			for _, j := range a.Feedback.Judgements {
				if j.Closure != nil {
					calls = append(calls, "over: "+j.Test.Case)
				}
			}
		}
		return calls
	}
	require.Empty(t, report("aaaaaaa1", passes+event("pass", "TestB", "")+`{"Action":"pass","Package":"acme/cart"}`+"\n"))
	require.Equal(t, []string{"new_failure TestB"}, report("bbbbbbb1", passes+event("fail", "TestB", "")+event("output", "", `FAIL\n`)+whole))
	said := report("ccccccc1", panics+whole)
	require.Contains(t, said, "new_failure TestA")
	require.NotContains(t, said, "vanished TestB")
	require.NotContains(t, said, "over: TestB")
}
