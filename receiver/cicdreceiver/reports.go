package cicdreceiver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

const (
	reportBatch      = 500 // events that are handed on at once
	maxReportQuery   = 256 // bytes of one value of the query
	maxCoverageUnits = 8
)

// takeReports is POST /v1/reports. It reads as the body comes and hands on every
// few hundred results, so that a failure is known while its run goes on and no
// report is ever held whole. What was read is kept whatever comes after it: a
// report that breaks off is answered with 400 and what was taken.
func (r *cicdReceiver) takeReports(w http.ResponseWriter, req *http.Request) answer {
	source, kind, refusal := reportSource(req.URL.Query())
	if refusal != nil {
		return *refusal
	}
	source.At = r.now().UTC()
	if kind == report.Log {
		source.Job.Known = r.logs.known(source)
	}
	in := &reportIntake{receiver: r, req: req, source: source}
	body := &movingBody{
		in:      http.MaxBytesReader(w, req.Body, r.cfg.MaxReportSize),
		control: http.NewResponseController(w), timeout: r.cfg.ReadTimeout, answer: r.cfg.WriteTimeout,
	}
	err := report.ParseAll(body, kind, source, in.take, in.done)
	if in.failure == nil {
		in.flush()
	}
	tooLarge := new(http.MaxBytesError)
	switch {
	case in.failure != nil:
		return *in.failure
	case errors.As(body.err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, outcomeTooLarge, "the body is larger than %d bytes; %d results before that were taken; raise max_report_size if the rest should be", tooLarge.Limit, in.told.Tests+in.told.Findings+in.told.Measurements)
	case body.err != nil:
		return refuse(http.StatusBadRequest, outcomeConnectionBroken, "the body could not be read to its end: send it whole, with the Content-Encoding it has; %d results before that were taken", in.told.Tests+in.told.Findings+in.told.Measurements)
	case err != nil:
		in.told.Name(report.Unread{Error: err.Error()})
	}
	if in.told.Broken > 0 || err != nil {
		return answer{status: http.StatusBadRequest, outcome: outcomeBadInput, reason: "a report could not be read whole", body: in.told}
	}
	if kind == report.Log && source.Job.Passed {
		r.logs.passed(context.WithoutCancel(req.Context()), source)
	}
	return answer{status: http.StatusAccepted, outcome: outcomeAccepted, body: in.told}
}

// reportSource reads what the request says of its reports.
func reportSource(query url.Values) (report.Source, report.Kind, *answer) {
	fail := func(format string, args ...any) (report.Source, report.Kind, *answer) {
		refusal := refuse(http.StatusBadRequest, outcomeBadInput, format, args...)
		return report.Source{}, "", &refusal
	}
	known := []string{"revision", "kind", "repository", "ref", "base", "run_id", "root", "pipeline", "job", "result"}
	for key, values := range query {
		if !slices.Contains(known, key) {
			return fail("unknown key %q in the query; known are %s", key[:min(len(key), 40)], strings.Join(known, ", "))
		}
		if len(values[0]) > maxReportQuery {
			return fail("%s is longer than %d bytes", key, maxReportQuery)
		}
	}
	if query.Get("revision") == "" {
		return fail("say which commit was tested: ?revision=COMMIT")
	}
	kind, err := report.ParseKind(query.Get("kind"))
	if err != nil {
		return fail("%s", err)
	}
	result := query.Get("result")
	switch {
	case kind != report.Log && query.Get("pipeline")+query.Get("job")+result != "":
		return fail("pipeline, job and result are of kind=log; other reports say it themselves")
	case result != "" && result != "success" && result != "failure":
		return fail("result %q is neither success nor failure", result)
	}
	return report.Source{
		Job:        report.Job{Pipeline: query.Get("pipeline"), Name: query.Get("job"), Passed: result == "success"},
		Repository: query.Get("repository"), Revision: query.Get("revision"), RunID: query.Get("run_id"),
		Ref: strings.TrimPrefix(query.Get("ref"), "refs/heads/"), Base: query.Get("base"), Root: query.Get("root"),
	}, kind, nil
}

// reportIntake gathers results into batches.
type reportIntake struct {
	receiver *cicdReceiver
	req      *http.Request
	source   report.Source
	batch    cicd.Intake
	size     int
	failure  *answer
	told     report.Taken

	// Of the report under way.
	chain   hash.Hash // over what it said so far
	cut     bool      // a package of go test did not come to its end
	suites  map[string]bool
	covered map[string]*coverage // by unit
}

// coverage sums the files of one report.
type coverage struct {
	directory      string // that holds all of them
	covered, total int
	any            bool
}

var errPipeline = errors.New("the pipeline did not take it")

// take is told of each thing that a report says.
func (in *reportIntake) take(i report.Item) error {
	switch {
	case i.Cut != "":
		in.cut = true // what did not run is not gone
		return nil
	case i.Test != nil:
		t := *i.Test
		remember(&in.suites, t.Suite)
		t.ID = in.identify("test", t.At, t.Suite, t.Case, t.Status, t.Duration.String(), t.Message, t.Stacktrace)
		in.batch.Tests = append(in.batch.Tests, t)
	case i.Finding != nil:
		f := *i.Finding
		f.ID = in.identify("finding", f.At, f.Tool, f.Fingerprint, f.File, strconv.Itoa(f.Line), f.Message)
		in.batch.Findings = append(in.batch.Findings, f)
	case i.Benchmark != nil:
		in.measured(event.Measurement{Suite: i.Benchmark.Suite, Name: i.Benchmark.Name, Value: i.Benchmark.Value, Unit: i.Benchmark.Unit})
	case i.Coverage != nil:
		in.cover(*i.Coverage)
		return nil
	case i.Report != nil:
		p := *i.Report
		p.Repository, p.Revision, p.Ref, p.Base, p.RunID, p.At = in.source.Repository, in.source.Revision, in.source.Ref, in.source.Base, in.source.RunID, in.source.At
		in.batch.Reports = append(in.batch.Reports, p)
	case i.Run != nil:
		run := *i.Run
		run.Repository, run.Revision, run.Ref = cmp.Or(run.Repository, in.source.Repository), cmp.Or(run.Revision, in.source.Revision), cmp.Or(run.Ref, in.source.Ref)
		in.batch.Runs = append(in.batch.Runs, cicd.Run{PipelineRun: run})
	}
	if in.size++; in.size >= reportBatch {
		return in.flush()
	}
	return nil
}

// identify gives one result of a report its id, out of all that the report said up
// to there: a request that is sent again, since the pipeline could not take some of
// it, says the same again, while a test that was run again says something more.
func (in *reportIntake) identify(what string, at time.Time, parts ...string) string {
	s := in.source
	if in.chain == nil {
		in.chain = sha256.New()
		parts = append(parts, s.Repository, s.Ref, s.Revision, s.Base, s.RunID)
	}
	if !at.Equal(s.At) { // else it is when we read it
		parts = append(parts, at.Format(time.RFC3339Nano))
	}
	for _, part := range append(parts, what) {
		_, _ = io.WriteString(in.chain, part)
		_, _ = in.chain.Write([]byte{0})
	}
	return hex.EncodeToString(in.chain.Sum(nil)[:8])
}

func (in *reportIntake) measured(m event.Measurement) {
	m.Repository, m.Revision, m.Ref, m.RunID, m.At = in.source.Repository, in.source.Revision, in.source.Ref, in.source.RunID, in.source.At
	in.batch.Measurements = append(in.batch.Measurements, m)
	in.told.Measurements++
}

// cover adds one file. Coverage is told as one number a report, for the
// directory that it is about: a file's own says little and costs a series.
func (in *reportIntake) cover(c report.Coverage) {
	sum := in.covered[c.Unit]
	if sum == nil {
		if len(in.covered) == maxCoverageUnits {
			return
		}
		if in.covered == nil {
			in.covered = map[string]*coverage{}
		}
		sum = &coverage{}
		in.covered[c.Unit] = sum
	}
	sum.covered, sum.total = sum.covered+c.Covered, sum.total+c.Total
	if directory := path.Dir(c.File); !sum.any {
		sum.directory, sum.any = directory, true
	} else {
		for sum.directory != "." && sum.directory != "/" && directory != sum.directory && !strings.HasPrefix(directory, sum.directory+"/") {
			sum.directory = path.Dir(sum.directory)
		}
	}
}

// done is told of each report that ended.
func (in *reportIntake) done(name string, sum report.Summary, err error) error {
	in.told.Reports++
	in.told.Tests += sum.Tests
	in.told.Failures += sum.Failures
	in.told.Findings += sum.Findings
	in.told.Runs += sum.Runs
	if err != nil || sum.Broken {
		in.told.Broken++
	}
	if p := (report.Unread{Name: name, Problems: sum.Problems}); err != nil || len(p.Problems) > 0 {
		if err != nil {
			p.Error = err.Error()
		}
		in.told.Name(p)
	}
	for unit, c := range in.covered {
		if c.total > 0 {
			in.measured(event.Measurement{Suite: strings.Trim(c.directory, "."), Name: "coverage " + unit, Value: float64(c.covered) / float64(c.total), Unit: "1"})
		}
	}
	if sum.Items()+len(sum.Tools) > 0 && sum.Kind != report.Events {
		in.batch.Reports = append(in.batch.Reports, event.Report{
			Kind: string(sum.Kind), Name: name, Suites: names(in.suites), Tools: slices.Sorted(slices.Values(sum.Tools)),
			Tests: sum.Tests, Failures: sum.Failures, Findings: sum.Findings, Problems: sum.Problems, Broken: sum.Broken || in.cut,
			Repository: in.source.Repository, Revision: in.source.Revision, Ref: in.source.Ref, Base: in.source.Base, RunID: in.source.RunID, At: in.source.At,
		})
		in.size++
	}
	in.chain, in.cut = nil, false
	clear(in.suites)
	in.covered = nil
	if in.size >= reportBatch {
		return in.flush()
	}
	return nil
}

// flush hands the batch on.
func (in *reportIntake) flush() error {
	batch := in.batch
	in.batch, in.size = cicd.Intake{}, 0
	in.receiver.memory.follow(&batch, in.receiver.now())
	if in.failure = in.receiver.send(in.req.Context(), "reports", batch); in.failure != nil {
		return errPipeline
	}
	return nil
}

// remember keeps as many names as a report may tell.
func remember(set *map[string]bool, name string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	if len(*set) < event.MaxReportNames {
		(*set)[name] = true
	}
}

func names(set map[string]bool) []string {
	var list []string
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// movingBody gives its sender the read timeout for each piece instead of for the
// whole, which may be long, and remembers how reading ended. The write timeout, which
// the server counts from the request's begin, begins with each piece too: a body that
// took longer than it got no answer.
type movingBody struct {
	in      io.Reader
	control *http.ResponseController
	timeout time.Duration
	answer  time.Duration // 0: however long
	err     error         // other than the end
}

func (b *movingBody) Read(p []byte) (int, error) {
	if b.timeout > 0 {
		_ = b.control.SetReadDeadline(time.Now().Add(b.timeout)) // where it cannot be set, the server's own holds
	}
	if b.answer > 0 {
		_ = b.control.SetWriteDeadline(time.Now().Add(b.timeout + b.answer))
	}
	n, err := b.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}
