package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/redact"
	"github.com/deployloop/deployloop/internal/report"
)

// runFlags are those of deployloop report, and what concerns the command itself.
type runFlags struct {
	reportFlags
	globs     []string
	name      string
	stage     string
	retries   int
	flakyPass bool
	raw       bool

	signals  chan os.Signal // nil: the process's own; a test sends its own
	patience patience       // zero: of --send-timeout
}

// newRunCommand is deployloop run: a build or test step under judgement.
func newRunCommand() *cobra.Command { return new(runFlags).command() }

func (f *runFlags) command() *cobra.Command {
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a build or test step: its failures as they happen, new ones told from flaky and old ones",
		Long: `Run a command and say what its results mean. It reads go test output (-json or
not) as it comes, the reports that --report names, and the places in what
compilers and linters print. A failing test is told at once; at the end each
result is judged against the baseline, with the place, the assertion, the stack's
top, the commit that passed last and the command to run it again.

The command runs as it is, without a shell; its output, signals and exit code are
kept; with --output json all that it prints goes to standard error. The first signal
goes on to it and a second one ends it, with all that it started (macOS and BSD: in
its process group, and at a terminal alone; Windows: alone). At a terminal ctrl-C
reaches the command by itself, and many programs take a second SIGINT for "at once",
so there run passes on neither SIGINT nor SIGQUIT: send SIGTERM to a run in the
foreground, or SIGINT to its process group. The command gets TRACEPARENT,
so that what it traces is part of this step's span. Of
go test -json the words of failing tests are shown, as go test itself would, on a
terminal and in CI; elsewhere, and with --raw, the output passes through as it is.

--retries runs only the failing tests of a go test again, to tell a flaky test
from a broken one; of a package that a panic or the timeout cut short it runs all,
since its later tests never ran. The exit code stays the command's own, unless --flaky-ok says
that a step whose every failure was flaky has passed.

Where --endpoint or DEPLOYLOOP_CICD_URL names a deployloop (with DEPLOYLOOP_CICD_TOKEN
where its receiver wants a token), it is told when the
step begins, of each failure as it happens, and of all results in the end, so that
an alert need not wait for the end of a run. What was not taken is sent again; the end
of a step waits for a deployloop that hangs as long as --send-timeout says. What is
not taken by then is kept in a file, and the deployloop report that sends it is told.
Whatever becomes of that, the exit code stays.

Values of variables named TOKEN, SECRET, PASSWORD, PASSWD, KEY or CREDENTIAL, and
what looks like a token, a key or a password, are hidden in all that is sent and in
what is said in the end; the command's own output passes as it is.`,
		Example: `  deployloop run -- go test -json ./...
  deployloop run --retries 2 --baseline .deployloop/baseline.json -- go test ./...
  deployloop run --report 'build/test-results/**/*.xml' -- ./gradlew test
  deployloop run --stage build -- make`,
		Args: atLeastOne("say what to run: deployloop run -- COMMAND"),
		RunE: f.execute,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false) // what comes after the command is its own
	flags.StringSliceVar(&f.globs, "report", nil, "`glob` of the reports that the command writes; ** is any depth (repeatable)")
	flags.IntVar(&f.retries, "retries", 0, "run failing tests again, at most `n` times (go test only)")
	flags.BoolVar(&f.flakyPass, "flaky-ok", false, "exit with 0 where every failure passed when it was run again")
	flags.StringVar(&f.name, "name", "", "`name` of the step (default: the command's)")
	flags.StringVar(&f.stage, "stage", string(event.StageTest), "`stage` of the step: build or test")
	flags.BoolVar(&f.raw, "raw", false, "pass the output of go test -json through as it is")
	flags.StringVar(&f.baseline, "baseline", "", "`file` with what is known of the runs before")
	flags.BoolVar(&f.update, "update", false, "take this run into the baseline file")
	f.what.flags(c)
	f.to.flags(c, 5*time.Second, "in the end, wait at most this `time` for a deployloop that takes nothing, and a second more for each MiB of reports")
	f.outputFlags(c)
	return c
}

const (
	exitNotStarted = 127 // as shells have it
	// pollReports is how often reports are looked for while the command runs.
	pollReports = time.Second
)

// step is one command under judgement.
type step struct {
	*runFlags
	out        reportOutput
	known      *judge.Baseline
	screen     *screen
	interrupts *interrupts
	secrets    *redact.Values // what no result may tell
	sending    *runSender     // nil: nobody is told
	child      event.PipelineRun
	began      time.Time
	killed     bool // the command, by a signal: nothing is run again
	rerun      bool // tests are being run again
	events     bool // the command itself prints those of go test -json
	unnamed    bool // it names no test that passes, as go test without -v or -json

	mu     sync.Mutex // of what follows: stdout, stderr and reports are read at once
	run    *judge.Run
	failed map[string]event.TestResult // that have not passed since, by key
	jobs   int                         // failures that are no test's: a build, a package
	ever   bool                        // a result was a failure, whatever it became
	cut    map[string]bool             // packages of go test not all of whose tests have run
	again  bool                        // what was run again last exited with 0
	places []event.Finding             // that a compiler or linter named
	more   int                         // places beyond maxPlaces
	tools  []string                    // the command, where its places are all known
	tail   outputTail                  // of what no parser reads
}

func (f *runFlags) execute(c *cobra.Command, arguments []string) error {
	if err := f.check(); err != nil {
		return err
	}
	switch {
	case f.stage != string(event.StageTest) && f.stage != string(event.StageBuild):
		return fmt.Errorf("--stage %s: use build or test", f.stage)
	case f.retries < 0 || f.retries > 100:
		return fmt.Errorf("--retries %d: use 0 to 100", f.retries)
	case f.flakyPass && f.retries == 0:
		return errors.New("--flaky-ok needs --retries: only a test that was run again can be told to be flaky")
	case f.flakyPass && failsFast(arguments):
		return errors.New("--flaky-ok does not go with go test -failfast: what comes after the first failure does not run, so nobody knows that it passes; leave -failfast out")
	}
	for _, glob := range f.globs {
		if _, err := filepath.Match(glob, ""); err != nil {
			return fmt.Errorf("--report %s: %w", glob, err)
		}
	}
	c.SilenceUsage = true
	baseline, err := f.readBaseline()
	if err != nil {
		return err
	}
	f.what.complete(c.Context())
	f.name = cmp.Or(f.name, filepath.Base(arguments[0]))
	s := &step{
		runFlags: f, known: baseline, began: time.Now(), run: judge.NewRun(f.what.revision), failed: map[string]event.TestResult{}, cut: map[string]bool{},
		secrets: redact.Environment(os.Environ()),
		out:     reportOutput{Reports: map[string]report.Summary{}, Unread: map[string]string{}},
	}
	s.child = f.pipelineRun(s.began)
	own := c.OutOrStdout()
	if f.output == "json" {
		own = c.ErrOrStderr() // standard output is one JSON document
	}
	s.screen = newScreen(own, c.ErrOrStderr())
	if f.retries > 0 && !isGoTest(arguments) {
		s.screen.note("--retries: only the tests of a go test, called as such, can be run again; " + plain(f.name) + " runs once")
	}
	s.interrupts = hearInterrupts(f.signals)
	defer s.interrupts.close()
	ctx := context.WithoutCancel(c.Context()) // a signal ends the command, and not what is to be said of it
	if f.to.wanted() {
		s.sending = s.newSender(ctx)
	}
	code, err := s.perform(ctx, arguments, c.InOrStdin())
	if err != nil {
		s.tellEnd(exitNotStarted)
		s.out.printUnsent(c.ErrOrStderr())
		return exitError{exitNotStarted, err}
	}
	return s.conclude(c, code)
}

// perform runs the command, and its failing tests again.
func (s *step) perform(ctx context.Context, arguments []string, in io.Reader) (code int, err error) {
	defer s.screen.close()
	if s.sending != nil {
		s.sending.begin(s.child)
	}
	polling, stop := context.WithCancel(ctx)
	var reports sync.WaitGroup
	if len(s.globs) > 0 {
		reports.Go(func() { s.followReports(polling) })
	}
	code, err = s.start(arguments, in)
	stop()
	reports.Wait()
	switch {
	case errors.Is(err, errInterrupted):
		return exitCode(s.interrupts.first()), nil
	case err != nil:
		return code, err
	}
	s.readReports()
	for again := 1; again <= s.retries && code != 0 && !s.stopped(); again++ {
		failing := s.failing()
		commands := goTestAgain(arguments, failing, s.cut)
		if len(commands) == 0 {
			if isGoTest(arguments) && again == 1 {
				s.screen.note("--retries: no test failed that could be run again")
			}
			break
		}
		s.screen.note(fmt.Sprintf("running %s again (%d of %d)", howMany(len(failing), "failing test"), again, s.retries))
		for _, t := range failing {
			delete(s.cut, t.Suite) // cut short again, it comes back
		}
		s.rerun, s.again = true, true
		for _, command := range commands {
			exit, err := s.start(command, nil)
			s.again = s.again && err == nil && !s.stopped() && exit == 0
			if err != nil {
				s.screen.note("it could not be run again: " + err.Error())
			}
			if err != nil || s.stopped() {
				return code, nil
			}
		}
	}
	return code, nil
}

// stopped tells whether a signal came, or ended the command: it was to end.
func (s *step) stopped() bool { return s.killed || s.interrupts.count() > 0 }

// conclude judges what the command left, tells it and gives its exit code.
func (s *step) conclude(c *cobra.Command, code int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addPlaces(code)
	s.addCause(code)
	told := s.run.Size() > 0 || s.output == "json" // before it is summed up
	if s.what.base != "" && !s.update {
		s.out.Verdict = s.known.Compare(s.run, s.what.base)
	} else {
		s.out.Verdict = s.known.Judge(s.run)
	}
	told = told || len(s.out.Judgements) > 0 // what is fixed is all that a clean run has to say
	hideNames(s.secrets, s.out.Judgements)
	s.out.Worse = s.out.Verdict.Worse()
	if s.update {
		if err := s.known.Write(s.baseline); err != nil {
			s.screen.note("--update: " + err.Error())
		}
	}
	flaky := code != 0 && s.flakyPass && s.again && len(s.failed)+s.jobs+len(s.cut) == 0 && s.out.Failed > 0
	if flaky {
		code = 0
	}
	s.tellEnd(code)
	if told {
		if err := s.print(c.OutOrStdout(), c.ErrOrStderr(), s.out); err != nil {
			s.screen.note(err.Error())
		}
		if s.unnamed && s.output == "text" {
			s.screen.note("go test names the tests that pass with -json or -v only: others are not counted")
		}
	} else {
		s.out.printUnsent(c.ErrOrStderr())
	}
	if code != 0 {
		return exitError{code: code}
	}
	return nil
}

// tellEnd sends what is left of the step, and its end.
func (s *step) tellEnd(code int) {
	s.out.leaveOut(s.run.Left, 0)
	if s.sending == nil {
		return
	}
	s.child.State, s.child.FinishedAt, s.child.Result = "finished", time.Now().UTC(), "success"
	switch {
	case code != 0 && s.interrupts.count() > 0:
		s.child.Result = "cancellation"
	case code != 0:
		s.child.Result = "failure"
	}
	d := s.sending.end(s.child, event.Report{Tools: s.tools, Broken: s.run.Partial}, s.interrupts)
	s.out.Sent, s.out.NotSent, s.out.SendAgain = d.sent, d.why, d.again
	s.out.leaveOut(0, d.leftOut)
}

// take is told of each result as it comes.
func (s *step) take(i report.Item) error {
	i = hideIn(s.secrets, i)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.Cut != "" {
		s.cut[i.Cut] = true
		return nil
	}
	if i.Test == nil {
		s.run.Add(i)
		return nil
	}
	t := *i.Test
	s.note(t, s.known.Say(s.run, t))
	if s.sending != nil {
		s.sending.test(t)
	}
	return nil
}

// maxPlaces bounds the places of one step.
const maxPlaces = 500

// place is told of each place in what the command prints.
func (s *step) place(f event.Finding) {
	if f.Level != "error" {
		return
	}
	f = *hideIn(s.secrets, report.Item{Finding: &f}).Finding
	s.mu.Lock()
	defer s.mu.Unlock()
	again := func(other event.Finding) bool { return other.Fingerprint == f.Fingerprint && other.Line == f.Line }
	if slices.ContainsFunc(s.places, again) { // Maven says all of them once more in the end
		return
	}
	if len(s.places) >= maxPlaces {
		s.more++
		return
	}
	s.places = append(s.places, f)
}

// addPlaces makes findings of them where the command failed and no test did: a
// command that succeeds may print what it likes. Where all of them are known, the
// command ran as a tool, and what it named before and does not now is mended. s.mu
// is held.
func (s *step) addPlaces(code int) {
	s.run.Partial = s.run.Partial || s.stopped() || len(s.cut) > 0
	if len(s.failed)+s.jobs > 0 {
		return
	}
	s.known.Expect(s.name) // what a build says without a baseline is new
	if s.more > 0 && code != 0 {
		s.run.Left += s.more
		s.run.Partial = true
	}
	if !s.run.Partial && (code == 0 || len(s.places) > 0) {
		s.tools = []string{s.name}
		s.run.Ran(s.name)
	}
	if code == 0 {
		return
	}
	for _, f := range s.places {
		s.run.Add(report.Item{Finding: &f})
		if s.sending != nil {
			s.sending.put(report.Event{Finding: &f}, true)
		}
	}
}

// note keeps what fails, and shows it; s.mu is held.
func (s *step) note(t event.TestResult, j event.Judgement) {
	key := judge.Key(t.Suite, t.Case)
	s.counted(t)
	if !report.Failed(t.Status) {
		if t.Status == "pass" {
			delete(s.failed, key)
		}
		return
	}
	s.fails(key, t)
	s.screen.failure(hideName(s.secrets, j), s.known.Runs > 0)
}

// counted shows a result in the line of progress; s.mu is held.
func (s *step) counted(t event.TestResult) {
	tests, failed := s.run.Tests()
	s.screen.count(t.Case, tests, failed)
}

// maxFailed bounds the tests that may be run again; more are not flaky.
const maxFailed = 50_000

// fails keeps a result that is a failure; s.mu is held.
func (s *step) fails(key string, t event.TestResult) {
	s.ever = true
	if t.IsJob() || len(s.failed) >= maxFailed {
		s.jobs++
		return
	}
	s.failed[key] = t
}

// failing lists the tests that have not passed yet, in a fixed order.
func (s *step) failing() []event.TestResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]event.TestResult, 0, len(s.failed))
	for _, t := range s.failed {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b event.TestResult) int {
		return cmp.Or(cmp.Compare(a.Suite, b.Suite), cmp.Compare(a.Case, b.Case))
	})
	return list
}

// pipelineRun is this step as a job of its pipeline.
func (f *runFlags) pipelineRun(began time.Time) event.PipelineRun {
	r := event.PipelineRun{
		ID: f.what.runID, Pipeline: cmp.Or(os.Getenv("GITHUB_WORKFLOW"), os.Getenv("CI_PROJECT_NAME"), os.Getenv("JOB_NAME"), "local"),
		Task: f.name, Stage: event.Stage(f.stage), State: "executing", Attempt: 1, Source: "run",
		Repository: f.what.repository, Ref: f.what.ref, Revision: f.what.revision, StartedAt: began.UTC(),
	}
	if n, err := strconv.Atoi(os.Getenv("GITHUB_RUN_ATTEMPT")); err == nil && n > 0 {
		r.Attempt = n
	}
	if os.Getenv("GITHUB_ACTIONS") == "true" {
		r.Source = "github" // whose runs the receiver knows by these ids
	}
	token := make([]byte, 8)
	_, _ = rand.Read(token) // never fails
	r.ID = cmp.Or(r.ID, "local-"+hex.EncodeToString(token))
	r.TaskID = r.ID + "/" + cmp.Or(os.Getenv("GITHUB_JOB"), os.Getenv("CI_JOB_ID"), "step") + "/" + f.name + "/" + hex.EncodeToString(token[:4])
	return r
}

// traceParent is the W3C trace context of the step's span.
func traceParent(r event.PipelineRun) string {
	trace, span := r.TraceID(), r.SpanID()
	return "TRACEPARENT=00-" + hex.EncodeToString(trace[:]) + "-" + hex.EncodeToString(span[:]) + "-01"
}

func howMany(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
