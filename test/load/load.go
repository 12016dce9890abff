// Package load plays services under load: it sends OTLP/HTTP (protobuf) traces
// and logs of many services, versions and instances, with given rates, error
// ratios, latencies and exceptions. Tests and the acceptance measurements use
// it; it stops with its context and keeps nothing.
package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Interval is how often a generator sends: what an SDK's batch would wait.
const Interval = 200 * time.Millisecond

// maxRequests bounds the requests of one cohort in one interval.
const maxRequests = 20_000

// Cohort is the load on the instances of one version of a service.
type Cohort struct {
	Service, Environment, Version, Revision string
	Instances                               int     // at least 1
	Rate                                    float64 // requests a second, all instances together
	Operation                               string  // span name, e.g. "POST /cart/checkout"
	ErrorRatio                              float64
	Latency                                 time.Duration // median; log-normal with σ 0.4
	Exception                               *Exception    // what a failed request throws; nil: only its status fails
	MaxFailures                             int           // after so many no request fails any more; 0: no limit
}

// Exception is recorded on a failed request's span, with a line of log.
type Exception struct {
	Type, Message, Stacktrace string
	LogLine                   string
}

// Sent is what a cohort sent so far.
type Sent struct {
	Requests, Failures int
	FirstFailure       time.Time   // event time: the end of the first failed request
	Failed             []time.Time // event times of the first ten failures
}

// Generator sends the load of its cohorts.
type Generator struct {
	endpoint string
	client   *http.Client

	mu      sync.Mutex
	cohorts map[string]*playing
	errs    []error
	random  *rand.Rand
}

type playing struct {
	Cohort
	sent Sent
}

// New makes a generator that sends to an OTLP/HTTP endpoint ("http://host:4318").
// The same seed gives the same arrivals.
func New(endpoint string, seed uint64) *Generator {
	return &Generator{
		endpoint: endpoint,
		client:   &http.Client{Timeout: 5 * time.Second},
		cohorts:  map[string]*playing{},
		random:   rand.New(rand.NewPCG(seed, 0x5eed)),
	}
}

// Set starts a cohort or changes it; its counts go on.
func (g *Generator) Set(name string, c Cohort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.Instances < 1 {
		c.Instances = 1
	}
	if c.Latency <= 0 {
		c.Latency = 20 * time.Millisecond
	}
	if old, ok := g.cohorts[name]; ok {
		old.Cohort = c
		return
	}
	g.cohorts[name] = &playing{Cohort: c}
}

// Stop ends a cohort; what it sent is still known.
func (g *Generator) Stop(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.cohorts[name]; ok {
		c.Rate = 0
	}
}

// Sent says what a cohort sent so far.
func (g *Generator) Sent(name string) Sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.cohorts[name]
	if !ok {
		return Sent{}
	}
	sent := c.sent
	sent.Failed = slices.Clone(sent.Failed)
	return sent
}

// Errors are the calls that failed, as when the Collector is down; at most a
// hundred are kept.
func (g *Generator) Errors() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.errs)
}

// Run sends until the context ends. It never waits for an answer longer than an
// interval's call; what could not be sent is lost, as with a real SDK that
// gives up.
func (g *Generator) Run(ctx context.Context) {
	defer g.client.CloseIdleConnections()
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		// A stalled machine must not turn into a burst of stale requests.
		if now.Sub(last) > time.Second {
			last = now.Add(-time.Second)
		}
		traces, logs := g.interval(last, now)
		last = now
		if traces.SpanCount() > 0 {
			g.note(g.post(ctx, "/v1/traces", ptraceotlp.NewExportRequestFromTraces(traces)))
		}
		if logs.LogRecordCount() > 0 {
			g.note(g.post(ctx, "/v1/logs", plogotlp.NewExportRequestFromLogs(logs)))
		}
	}
}

func (g *Generator) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.errs) < 100 {
		g.errs = append(g.errs, err)
	}
}

func (g *Generator) post(ctx context.Context, path string, request interface{ MarshalProto() ([]byte, error) }) error {
	body, err := request.MarshalProto()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	response, err := g.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %q", path, response.StatusCode, answer)
	}
	return nil
}

// interval draws the requests that ended in (from, to].
func (g *Generator) interval(from, to time.Time) (ptrace.Traces, plog.Logs) {
	traces, logs := ptrace.NewTraces(), plog.NewLogs()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.cohorts)) { // the same seed, the same load
		c := g.cohorts[name]
		each := c.Rate * to.Sub(from).Seconds() / float64(c.Instances)
		for instance := range c.Instances {
			n := min(g.poisson(each), maxRequests/c.Instances)
			if n == 0 {
				continue
			}
			ends := make([]time.Time, n)
			for i := range ends {
				ends[i] = from.Add(time.Duration(g.random.Float64() * float64(to.Sub(from))))
			}
			slices.SortFunc(ends, time.Time.Compare)
			resource := traces.ResourceSpans().AppendEmpty()
			c.describe(resource.Resource().Attributes(), instance)
			spans := resource.ScopeSpans().AppendEmpty().Spans()
			spans.EnsureCapacity(n)
			var records plog.LogRecordSlice
			for _, end := range ends {
				span := spans.AppendEmpty()
				if !g.request(c, span, end) || c.Exception == nil {
					continue
				}
				if records == (plog.LogRecordSlice{}) {
					r := logs.ResourceLogs().AppendEmpty()
					c.describe(r.Resource().Attributes(), instance)
					records = r.ScopeLogs().AppendEmpty().LogRecords()
				}
				c.Exception.log(records.AppendEmpty(), span, end)
			}
		}
	}
	return traces, logs
}

// request fills one span, and tells whether it failed.
func (g *Generator) request(c *playing, span ptrace.Span, end time.Time) (failed bool) {
	latency := time.Duration(float64(c.Latency) * math.Exp(0.4*g.random.NormFloat64()))
	var id [24]byte
	for i := 0; i < len(id); i += 8 {
		binary.LittleEndian.PutUint64(id[i:], g.random.Uint64()|1)
	}
	span.SetTraceID(pcommon.TraceID(id[:16]))
	span.SetSpanID(pcommon.SpanID(id[16:]))
	span.SetName(c.Operation)
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(end.Add(-latency)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
	c.sent.Requests++
	failed = g.random.Float64() < c.ErrorRatio && (c.MaxFailures == 0 || c.sent.Failures < c.MaxFailures)
	status := int64(http.StatusOK)
	if failed {
		status = http.StatusInternalServerError
		span.Status().SetCode(ptrace.StatusCodeError)
		c.sent.Failures++
		if c.sent.FirstFailure.IsZero() {
			c.sent.FirstFailure = end
		}
		if len(c.sent.Failed) < 10 {
			c.sent.Failed = append(c.sent.Failed, end)
		}
		if x := c.Exception; x != nil {
			e := span.Events().AppendEmpty()
			e.SetName("exception")
			e.SetTimestamp(pcommon.NewTimestampFromTime(end))
			e.Attributes().PutStr("exception.type", x.Type)
			e.Attributes().PutStr("exception.message", x.Message)
			e.Attributes().PutStr("exception.stacktrace", x.Stacktrace)
		}
	}
	span.Attributes().PutInt("http.response.status_code", status)
	return failed
}

func (x *Exception) log(record plog.LogRecord, span ptrace.Span, at time.Time) {
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(at))
	record.SetSeverityNumber(plog.SeverityNumberError)
	record.SetSeverityText("ERROR")
	record.SetTraceID(span.TraceID())
	record.SetSpanID(span.SpanID())
	record.Body().SetStr(x.LogLine)
}

func (c *playing) describe(attributes pcommon.Map, instance int) {
	attributes.PutStr("service.name", c.Service)
	if c.Environment != "" {
		attributes.PutStr("deployment.environment.name", c.Environment)
	}
	if c.Version != "" {
		attributes.PutStr("service.version", c.Version)
	}
	if c.Revision != "" {
		attributes.PutStr("vcs.ref.head.revision", c.Revision)
	}
	attributes.PutStr("service.instance.id", fmt.Sprintf("%s-%s-%d", c.Service, c.Version, instance))
}

// poisson draws a count with the given mean: by inversion for a small one, by
// the normal approximation for a large one.
func (g *Generator) poisson(mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 500 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*g.random.NormFloat64())))
	}
	limit, product := math.Exp(-mean), 1.0
	for n := 0; ; n++ {
		if product *= g.random.Float64(); product <= limit {
			return n
		}
	}
}
