package backtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cespare/xxhash/v2"
)

// signal is the kind of telemetry in a batch, in the order in which those of
// one instant are played.
type signal uint8

const (
	traces signal = iota
	metrics
	logs
)

// batch is what one resource sent in one second, as protobuf.
type batch struct {
	second   int64 // Unix
	earliest int64 // event time of its first item, Unix nanoseconds
	signal   signal
	hash     uint64
	data     []byte
}

const second = int64(1e9)

// split decodes one line and cuts it into batches. untimed is the number of
// items without an event time: a backtest has no other clock, so they are left
// out.
func split(line []byte) (out []batch, untimed uint64, err error) {
	kind, err := kindOf(line)
	if err != nil {
		return nil, 0, err
	}
	c := cutter{}
	switch kind {
	case traces:
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return nil, 0, malformed(line, err)
		}
		c.traces(td)
	case metrics:
		md, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
		if err != nil {
			return nil, 0, malformed(line, err)
		}
		c.metrics(md)
	case logs:
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			return nil, 0, malformed(line, err)
		}
		c.logs(ld)
	}
	return c.out, c.untimed, c.err
}

// kindOf reads the one top-level key of an OTLP JSON line.
func kindOf(line []byte) (signal, error) {
	rest := bytes.TrimLeft(line, " \t\r{")
	for name, kind := range map[string]signal{`"resourceSpans"`: traces, `"resourceMetrics"`: metrics, `"resourceLogs"`: logs} {
		if bytes.HasPrefix(rest, []byte(name)) {
			return kind, nil
		}
	}
	if len(rest) == 0 {
		return 0, errors.New("the line holds a bracket alone; give each request in one line, as by jq -c .")
	}
	return 0, errors.New("no OTLP JSON: it begins with none of resourceSpans, resourceMetrics, resourceLogs")
}

// malformed says what is wrong with a line that could not be decoded.
func malformed(line []byte, err error) error {
	var whole json.RawMessage
	var syntax *json.SyntaxError
	if broken := json.Unmarshal(line, &whole); errors.As(broken, &syntax) {
		if syntax.Offset >= int64(len(line)) {
			return fmt.Errorf("the line is cut short after %d bytes", len(line))
		}
		return fmt.Errorf("no JSON: %w at byte %d", syntax, syntax.Offset)
	}
	said, _, _ := strings.Cut(err.Error(), ", bigger context")
	return fmt.Errorf("JSON, but no OTLP: %s", said)
}

// cutter cuts one line.
type cutter struct {
	out     []batch
	untimed uint64
	err     error
}

// add encodes one batch. earliest is an event time in it.
func (c *cutter) add(kind signal, earliest int64, data []byte, err error) {
	if err != nil {
		c.err = err
		return
	}
	c.out = append(c.out, batch{second: earliest / second, earliest: earliest, signal: kind, hash: xxhash.Sum64(data), data: data})
}

// bin gathers the items of one resource and second.
type bin[T any] struct {
	data     T
	earliest int64
	scope    int // index of the scope that its last item came from
}

// bins keeps the seconds of one resource in the order they were met.
type bins[T any] struct {
	bySecond map[int64]*bin[T]
	order    []*bin[T]
}

// at finds the bin of an event time; isNew says that it must be begun.
func (b *bins[T]) at(ns int64) (found *bin[T], isNew bool) {
	if b.bySecond == nil {
		b.bySecond = map[int64]*bin[T]{}
	}
	found = b.bySecond[ns/second]
	if found == nil {
		found = &bin[T]{earliest: ns, scope: -1}
		b.bySecond[ns/second] = found
		b.order = append(b.order, found)
		return found, true
	}
	found.earliest = min(found.earliest, ns)
	return found, false
}

func (c *cutter) traces(td ptrace.Traces) {
	var encode ptrace.ProtoMarshaler
	for _, resource := range td.ResourceSpans().All() {
		var seconds bins[ptrace.Traces]
		for k, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				at := int64(span.EndTimestamp())
				if at <= 0 {
					c.untimed++
					continue
				}
				b, isNew := seconds.at(at)
				if isNew {
					b.data = ptrace.NewTraces()
					r := b.data.ResourceSpans().AppendEmpty()
					resource.Resource().CopyTo(r.Resource())
				}
				scopes := b.data.ResourceSpans().At(0).ScopeSpans()
				if b.scope != k {
					b.scope = k
					scope.Scope().CopyTo(scopes.AppendEmpty().Scope())
				}
				span.MoveTo(scopes.At(scopes.Len() - 1).Spans().AppendEmpty())
			}
		}
		for _, b := range seconds.order {
			data, err := encode.MarshalTraces(b.data)
			c.add(traces, b.earliest, data, err)
		}
	}
}

func (c *cutter) logs(ld plog.Logs) {
	var encode plog.ProtoMarshaler
	for _, resource := range ld.ResourceLogs().All() {
		var seconds bins[plog.Logs]
		for k, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				at := int64(record.Timestamp())
				if at <= 0 {
					at = int64(record.ObservedTimestamp())
				}
				if at <= 0 {
					c.untimed++
					continue
				}
				b, isNew := seconds.at(at)
				if isNew {
					b.data = plog.NewLogs()
					resource.Resource().CopyTo(b.data.ResourceLogs().AppendEmpty().Resource())
				}
				scopes := b.data.ResourceLogs().At(0).ScopeLogs()
				if b.scope != k {
					b.scope = k
					scope.Scope().CopyTo(scopes.AppendEmpty().Scope())
				}
				record.MoveTo(scopes.At(scopes.Len() - 1).LogRecords().AppendEmpty())
			}
		}
		for _, b := range seconds.order {
			data, err := encode.MarshalLogs(b.data)
			c.add(logs, b.earliest, data, err)
		}
	}
}

// metricBin is a second of one resource's metrics; of is the metric that its
// last point came from.
type metricBin struct {
	md pmetric.Metrics
	of pmetric.Metric
	to pmetric.Metric
}

func (c *cutter) metrics(md pmetric.Metrics) {
	var encode pmetric.ProtoMarshaler
	for _, resource := range md.ResourceMetrics().All() {
		var seconds bins[metricBin]
		for k, scope := range resource.ScopeMetrics().All() {
			// place finds the metric that a point of this time belongs to.
			place := func(m pmetric.Metric, t pcommon.Timestamp) (pmetric.Metric, bool) {
				at := int64(t)
				if at <= 0 {
					c.untimed++
					return m, false
				}
				b, isNew := seconds.at(at)
				if isNew {
					b.data.md = pmetric.NewMetrics()
					resource.Resource().CopyTo(b.data.md.ResourceMetrics().AppendEmpty().Resource())
				}
				scopes := b.data.md.ResourceMetrics().At(0).ScopeMetrics()
				if b.scope != k {
					b.scope = k
					scope.Scope().CopyTo(scopes.AppendEmpty().Scope())
					b.data.of = pmetric.Metric{}
				}
				if b.data.of != m {
					b.data.of = m
					b.data.to = scopes.At(scopes.Len() - 1).Metrics().AppendEmpty()
					header(m, b.data.to)
				}
				return b.data.to, true
			}
			for _, m := range scope.Metrics().All() {
				scatter(m, place)
			}
		}
		for _, b := range seconds.order {
			data, err := encode.MarshalMetrics(b.data.md)
			c.add(metrics, b.earliest, data, err)
		}
	}
}

// header copies all of a metric but its points.
func header(from, to pmetric.Metric) {
	to.SetName(from.Name())
	to.SetUnit(from.Unit())
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		to.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		to.SetEmptySum().SetAggregationTemporality(from.Sum().AggregationTemporality())
		to.Sum().SetIsMonotonic(from.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		to.SetEmptyHistogram().SetAggregationTemporality(from.Histogram().AggregationTemporality())
	case pmetric.MetricTypeExponentialHistogram:
		to.SetEmptyExponentialHistogram().SetAggregationTemporality(from.ExponentialHistogram().AggregationTemporality())
	case pmetric.MetricTypeSummary:
		to.SetEmptySummary()
	}
}

// scatter moves each point of a metric to its second.
func scatter(m pmetric.Metric, place func(pmetric.Metric, pcommon.Timestamp) (pmetric.Metric, bool)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			if to, ok := place(m, p.Timestamp()); ok {
				p.MoveTo(to.Gauge().DataPoints().AppendEmpty())
			}
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			if to, ok := place(m, p.Timestamp()); ok {
				p.MoveTo(to.Sum().DataPoints().AppendEmpty())
			}
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			if to, ok := place(m, p.Timestamp()); ok {
				p.MoveTo(to.Histogram().DataPoints().AppendEmpty())
			}
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			if to, ok := place(m, p.Timestamp()); ok {
				p.MoveTo(to.ExponentialHistogram().DataPoints().AppendEmpty())
			}
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			if to, ok := place(m, p.Timestamp()); ok {
				p.MoveTo(to.Summary().DataPoints().AppendEmpty())
			}
		}
	}
}
