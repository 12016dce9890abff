package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/redact"
	"github.com/deployloop/deployloop/internal/report"
	"github.com/deployloop/deployloop/internal/terminal"
)

// Exit codes of deployloop report.
const (
	exitWorse      = 1 // a new failure or finding
	exitUnreadable = 2 // a report could not be read
)

type reportFlags struct {
	what                             ciContext
	to                               sender
	baseline, kind                   string
	job, pipeline, result            string // of a log
	output, annotations, codeQuality string
	update                           bool
	top                              int
}

// newReportCommand is deployloop report: it judges the reports of a run.
func newReportCommand() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "report FILE...",
		Short: "Say what a run's reports mean: new, known flaky, already failing, fixed, slower, vanished",
		Long: `Read the reports of a build or test run and say what they mean against the runs
before it. The kind of each file is detected: JUnit XML, go test output (text or
-json), SARIF, coverage (Go, Cobertura, LCOV), benchmarks. - is standard input. A
pattern in quotes is read too: * and ?, and ** for any depth of folders.

It works offline against a baseline file, so that it serves before a push: CI
runs it with --update on the main branch and keeps the file; developers run it
without. Without a baseline every failure is new. Findings are not: a tool's first
run is its baseline, so they are listed and told as such.

With --kind log a file is the log of a job that failed, and the lines in it that
say why are told. The log of one that passed, taken in by --update with --result
success or named by --baseline, makes that surer.

Where --endpoint or DEPLOYLOOP_CICD_URL names a deployloop, the reports are sent
there too: it keeps the history of every test and alerts on what is new. A
failure to send is told and changes no exit code.

A receiver with auth (deployloop init sets it up where others reach it) wants the
token of DEPLOYLOOP_CICD_TOKEN; there is no flag, since others see arguments.

It exits 0 when nothing got worse, 1 with a new failure or a new finding, and 2
when a report could not be read, the baseline could not be kept, or it
was called wrongly.`,
		Example: `  go test -json ./... | deployloop report --baseline .deployloop/baseline.json -
  deployloop report --baseline baseline.json --update --revision "$GITHUB_SHA" build/test-results/*.xml
  deployloop report --kind log --job compile --baseline passed.log failed.log`,
		Args: atLeastOne("name the reports: deployloop report FILE..., where - is standard input"),
		RunE: f.run,
	}
	flags := c.Flags()
	flags.SortFlags = false
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return exitError{exitUnreadable, flagError(c, err)} })
	flags.StringVar(&f.baseline, "baseline", "", "`file` with what is known of the runs before")
	flags.BoolVar(&f.update, "update", false, "take this run into the baseline file")
	f.what.flags(c)
	f.to.flags(c, 5*time.Minute, "give up sending after this `time`")
	flags.StringVar(&f.kind, "kind", "", "`kind` of all files (default: detected, file by file; log is never)")
	flags.StringVar(&f.job, "job", "", "`name` of the job whose log it is (--kind log)")
	flags.StringVar(&f.pipeline, "pipeline", "", "`name` of its pipeline (--kind log)")
	flags.StringVar(&f.result, "result", "failure", "`end` of the job: failure or success (--kind log)")
	f.outputFlags(c)
	return c
}

// atLeastOne refuses a command without arguments, and says what is missing.
func atLeastOne(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, arguments []string) error {
		if len(arguments) == 0 {
			return errors.New(missing)
		}
		return nil
	}
}

// exactlyOne refuses a command without its one argument, or with more.
func exactlyOne(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, arguments []string) error {
		if len(arguments) != 1 {
			return errors.New(missing)
		}
		return nil
	}
}

// outputFlags say how judgements are told.
func (f *reportFlags) outputFlags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.annotations, "annotations", "auto", "`format` of annotations: github, none, or auto: github within GitHub Actions")
	flags.StringVar(&f.codeQuality, "code-quality", "", "`file` to write for GitLab's artifacts:reports:codequality")
	flags.IntVar(&f.top, "top", 20, "print this `number` of failures in full (text output)")
	outputFlag(c, &f.output)
}

// reportOutput is the one object that --output json prints.
type reportOutput struct {
	judge.Verdict
	Worse   bool                      `json:"worse"`
	Reports map[string]report.Summary `json:"reports"`
	Unread  map[string]string         `json:"unread,omitempty"` // files and why
	Sent    *report.Taken             `json:"sent,omitempty"`   // the receiver's answer
	NotSent string                    `json:"not_sent,omitempty"`
	// SendAgain is the command that sends what was not sent.
	SendAgain string   `json:"send_again,omitempty"`
	LeftOut   *leftOut `json:"left_out,omitempty"`
}

// leftOut counts results beyond a limit.
type leftOut struct {
	Judged int `json:"not_judged,omitempty"`
	Sent   int `json:"not_sent,omitempty"`
}

func (o *reportOutput) leaveOut(judged, sent int) {
	if judged+sent == 0 {
		return
	}
	if o.LeftOut == nil {
		o.LeftOut = &leftOut{}
	}
	o.LeftOut.Judged += judged
	o.LeftOut.Sent += sent
}

func (f *reportFlags) run(c *cobra.Command, files []string) error {
	if err := f.check(); err != nil {
		return exitError{exitUnreadable, err}
	}
	c.SilenceUsage = true
	files = expanded(files)
	kind := report.Kind(f.kind)
	baseline, err := f.readBaseline()
	if err != nil {
		return err
	}
	f.what.complete(c.Context())
	run := judge.NewRun(f.what.revision)
	out := reportOutput{Reports: map[string]report.Summary{}, Unread: map[string]string{}}
	source, in := f.what.source(), c.InOrStdin()
	if kind == report.Log {
		source.Job = f.jobOf(baseline)
	}
	var kept *os.File // standard input, to be sent after it was read
	if f.to.wanted() && slices.Contains(files, "-") {
		if kept, err = os.CreateTemp("", "deployloop-report-*"); err != nil {
			return err
		}
		defer os.Remove(kept.Name())
		defer kept.Close()
		in = io.TeeReader(in, kept)
	}
	secrets := redact.Environment(os.Environ())
	for _, name := range files {
		err := readFile(name, in, func(r io.Reader) error {
			sum, err := report.Parse(r, kind, source, func(i report.Item) error {
				run.Add(hideIn(secrets, i))
				return nil
			})
			out.Reports[name] = sum
			run.Ended(sum)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) && isPattern(name) {
			err = errors.New("no file matches")
		}
		if err != nil { // it costs only itself
			out.Unread[name] = err.Error()
			delete(out.Reports, name)
		}
	}
	if len(out.Reports) > 0 {
		out.Verdict = baseline.Judge(run)
	}
	out.leaveOut(run.Left, 0)
	hideNames(secrets, out.Judgements)
	out.Worse = out.Verdict.Worse()
	if source.Job.Passed && len(out.Reports) > 0 {
		baseline.LearnLog(f.job, source.Job.Known)
	}
	var unkept error
	if f.update && len(out.Reports) > 0 {
		unkept = baseline.Write(f.baseline)
	}
	if f.to.wanted() && len(out.Reports) > 0 {
		readable := slices.Sorted(maps.Keys(out.Reports))
		sent, err := f.to.files(c.Context(), f.query(), readable, func(name string) (*os.File, error) {
			if name == "-" {
				name = kept.Name()
			}
			return os.Open(name)
		})
		if out.Sent = &sent; err != nil {
			out.Sent, out.NotSent = nil, err.Error()
		}
	}
	if err := f.print(c.OutOrStdout(), c.ErrOrStderr(), out); err != nil {
		return err
	}
	switch {
	case unkept != nil:
		return exitError{exitUnreadable, fmt.Errorf("--update: %w", unkept)}
	case out.Worse:
		return exitError{code: exitWorse}
	case len(out.Unread) > 0:
		return exitError{exitUnreadable, fmt.Errorf("%d of %s could not be read", len(out.Unread), howMany(len(files), "report"))}
	}
	return nil
}

// check refuses flags that cannot be meant.
func (f *reportFlags) check() error {
	_, err := report.ParseKind(f.kind)
	switch {
	case err != nil:
		return fmt.Errorf("--%w", err)
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("--output %s: use text or json", f.output)
	case f.annotations != "auto" && f.annotations != "github" && f.annotations != "none":
		return fmt.Errorf("--annotations %s: use auto, github or none", f.annotations)
	case f.result != "" && f.result != "failure" && f.result != "success":
		return fmt.Errorf("--result %s: use failure or success", f.result)
	case f.kind != string(report.Log) && f.job+f.pipeline != "":
		return errors.New("--job and --pipeline are of --kind log; other reports say it themselves")
	case f.to.timeout <= 0:
		return fmt.Errorf("--send-timeout %s: use a time above 0; --offline tells nobody", f.to.timeout)
	case f.update && f.baseline == "":
		return errors.New("--update needs --baseline")
	}
	return nil
}

// readBaseline is what is known of the runs before; nothing without a file.
func (f *reportFlags) readBaseline() (*judge.Baseline, error) {
	if f.baseline == "" {
		return judge.NewBaseline(), nil
	}
	if report.Kind(f.kind) == report.Log && isLog(f.baseline) {
		if f.update {
			return nil, exitError{exitUnreadable, fmt.Errorf("--update would overwrite %s, which is a log: name the file that keeps what is known", f.baseline)}
		}
		b, passed := judge.NewBaseline(), new(cilog.Baseline)
		if err := readFile(f.baseline, nil, passed.Learn); err != nil {
			return nil, exitError{exitUnreadable, fmt.Errorf("--baseline: %w", err)}
		}
		b.LearnLog(f.job, passed)
		return b, nil
	}
	b, err := judge.Read(f.baseline)
	if err != nil {
		return nil, exitError{exitUnreadable, err}
	}
	return b, nil
}

// printUnsent says what was not sent, and how to send it again.
func (o *reportOutput) printUnsent(stderr io.Writer) {
	if o.NotSent != "" {
		fmt.Fprintf(stderr, "not sent: %s\n", plain(o.NotSent))
	}
	if o.SendAgain != "" {
		fmt.Fprintf(stderr, "send it again: %s\n", plain(o.SendAgain))
	}
}

func (f *reportFlags) print(stdout, stderr io.Writer, out reportOutput) error {
	for _, name := range slices.Sorted(maps.Keys(out.Unread)) {
		fmt.Fprintf(stderr, "%s: %s\n", plain(name), plain(out.Unread[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(out.Reports)) {
		for _, problem := range out.Reports[name].Problems {
			fmt.Fprintf(stderr, "%s: %s\n", plain(name), plain(problem))
		}
	}
	out.printUnsent(stderr)
	if left := out.LeftOut; left != nil {
		fmt.Fprintf(stderr, "beyond what is kept of one run, %s not judged and %d not sent: split the run\n", howMany(left.Judged, "result"), left.Sent)
	}
	if f.codeQuality != "" {
		if err := writeCodeQuality(f.codeQuality, listed(out.Verdict), newPlaces(f.what.root)); err != nil {
			return fmt.Errorf("--code-quality: %w", err)
		}
	}
	if f.output == "json" {
		if out.Judgements == nil {
			out.Judgements = []event.Judgement{}
		}
		return json.NewEncoder(stdout).Encode(out)
	}
	if len(out.Reports) == 0 && len(out.Unread) > 0 && out.Tests+out.Findings == 0 {
		return nil // that nothing failed is not known
	}
	// GitHub shows an annotation in its log too; any other log has but what is printed.
	if f.annotations == "github" || f.annotations == "auto" && os.Getenv("GITHUB_ACTIONS") == "true" {
		annotateGitHub(stdout, listed(out.Verdict), newPlaces(f.what.root))
	} else {
		printJudgements(stdout, terminal.NewPainter(stdout), listed(out.Verdict), f.top, newPlaces(f.what.root))
	}
	_, err := fmt.Fprintln(stdout, oneLine(out.Verdict))
	return err
}

// isLog tells a log that passed from a baseline file, which is one JSON object.
func isLog(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := io.ReadFull(f, head)
	text := bytes.TrimSpace(head[:n])
	return len(text) > 0 && text[0] != '{'
}

// jobOf is the job whose log is read: with what its logs that passed left behind,
// or, of one that passed, nothing yet.
func (f *reportFlags) jobOf(b *judge.Baseline) report.Job {
	job := report.Job{Pipeline: f.pipeline, Name: f.job, Passed: f.result == "success", Known: b.Logs[f.job]}
	if job.Passed {
		job.Known = new(cilog.Baseline)
	}
	return job
}

// query is how POST /v1/reports takes the files.
func (f *reportFlags) query() url.Values {
	query := f.what.query()
	for key, value := range map[string]string{"kind": f.kind, "pipeline": f.pipeline, "job": f.job} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if report.Kind(f.kind) == report.Log {
		query.Set("result", f.result)
	}
	return query
}
