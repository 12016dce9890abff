package promhistory

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// selector is one metric that is asked for.
type selector struct {
	name     string // without the suffix of buckets
	matchers string // "{…}", or ""
}

func newSelector(text string) selector {
	name, rest, some := strings.Cut(text, "{")
	s := selector{name: strings.TrimSuffix(strings.TrimSpace(name), "_bucket")}
	if some {
		s.matchers = "{" + rest
	}
	return s
}

func (s selector) counter() bool  { return strings.HasSuffix(s.name, "_total") }
func (s selector) String() string { return s.name + s.matchers }

func (s selector) query() string {
	if s.counter() {
		return s.name + s.matchers
	}
	return s.name + "_bucket" + s.matchers
}

// group are the series of one histogram (a bound each), or one counter.
type group struct {
	labels  model.Metric // without the bound
	start   int64        // when it began, ms; of its first value: it is not known; 0: before what is read
	buckets []bucket     // by bound
}

type bucket struct {
	bound  float64
	series *model.SampleStream
	next   int // of its values
}

// convert gives a stretch's series as OTLP, a resource after another.
func (h *History) convert(s selector, matrix model.Matrix, emit func(pmetric.Metrics) error) error {
	byResource := map[string][]*group{}
	groups := map[model.Fingerprint]*group{}
	for _, series := range matrix {
		labels := series.Metric.Clone()
		delete(labels, model.MetricNameLabel)
		bound := math.Inf(1)
		if !s.counter() {
			var err error
			if bound, err = strconv.ParseFloat(string(labels["le"]), 64); err != nil {
				continue // no bucket
			}
			delete(labels, "le")
		}
		key := labels.Fingerprint()
		g := groups[key]
		if g == nil {
			g = &group{labels: labels}
			groups[key] = g
			resource := h.resource(labels)
			byResource[resource] = append(byResource[resource], g)
		}
		g.buckets = append(g.buckets, bucket{bound: bound, series: series})
	}
	resources := make([]string, 0, len(byResource))
	for r := range byResource {
		resources = append(resources, r)
	}
	slices.Sort(resources)
	for _, r := range resources {
		list := byResource[r]
		slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.labels.String(), b.labels.String()) })
		md := pmetric.NewMetrics()
		resource := md.ResourceMetrics().AppendEmpty()
		h.describe(list[0].labels, resource.Resource().Attributes())
		scope := resource.ScopeMetrics().AppendEmpty()
		scope.Scope().SetName("prometheus")
		metric := scope.Metrics().AppendEmpty()
		metric.SetName(s.name)
		for _, g := range list {
			h.begins(s, g)
			slices.SortFunc(g.buckets, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
			if s.counter() {
				g.counter(metric)
			} else {
				g.histogram(metric)
			}
		}
		if err := emit(md); err != nil {
			return err
		}
	}
	return nil
}

// resource names the resource of a series.
func (h *History) resource(labels model.Metric) string {
	var parts []string
	for _, name := range []string{"service", "version", "revision", "instance", "environment"} {
		parts = append(parts, h.label(labels, name))
	}
	return strings.Join(parts, "\x00")
}

// describe writes the resource attributes that labels and target_info tell.
func (h *History) describe(labels model.Metric, out pcommon.Map) {
	for _, name := range []string{"service", "version", "revision", "instance", "environment"} {
		if v := h.label(labels, name); v != "" {
			out.PutStr(attributes[name], v)
		}
	}
}

func (h *History) label(labels model.Metric, name string) string {
	origin := h.origins[string(labels["job"])+"\x00"+string(labels["instance"])]
	try := func(label string) string {
		return cmp.Or(string(labels[model.LabelName(label)]), string(origin[model.LabelName(label)]))
	}
	if own := h.options.Labels[name]; own != "" {
		return try(own)
	}
	for _, label := range DefaultLabels[name] {
		v := try(label)
		if v == "" {
			continue
		}
		if label == "job" { // "namespace/name" where OTLP was written
			v = v[strings.LastIndexByte(v, '/')+1:]
		}
		return v
	}
	return ""
}

// begins notes when a series was first seen: what appears later than the
// first step and holds no more than a few steps add began at nought then, and
// its first value is all news. What holds more is older: its job or a label was
// added, or the server kept or scraped nothing before; its first value is only
// a reference, which a start at its own time says.
func (h *History) begins(s selector, g *group) {
	key := g.labels.Fingerprint() ^ model.Metric{model.MetricNameLabel: model.LabelValue(s.name)}.Fingerprint()
	start, known := h.begun[key]
	if !known {
		first := int64(math.MaxInt64)
		for _, b := range g.buckets {
			if len(b.series.Values) > 0 {
				first = min(first, int64(b.series.Values[0].Timestamp))
			}
		}
		switch {
		case first == math.MaxInt64 || first <= h.options.From.UnixMilli():
		case g.newborn():
			start = first - h.options.Step.Milliseconds()
		default:
			start = first // else the sender's export before would make all of it news
		}
		if len(h.begun) < maxBegun {
			h.begun[key] = start
		}
	}
	g.start = start
}

// newbornSteps is how many steps tell what one adds, and newbornTimes how many
// times the most of them a first value may be.
const (
	newbornSteps = 20
	newbornTimes = 3
)

// newborn says whether the first value is about what a step adds. At the end of
// a stretch, or before steps that add nothing, only a low one is: to miss one
// step is better than to count a life as one.
func (g *group) newborn() bool {
	first, most := 0., 1.
	for _, b := range g.buckets {
		values := b.series.Values
		if len(values) == 0 {
			continue
		}
		first = max(first, float64(values[0].Value))
		for i := 1; i < min(len(values), newbornSteps+1); i++ {
			most = max(most, float64(values[i].Value-values[i-1].Value))
		}
	}
	return first <= newbornTimes*most
}

func (g *group) counter(to pmetric.Metric) {
	if to.Type() == pmetric.MetricTypeEmpty {
		sum := to.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	for _, b := range g.buckets {
		for _, v := range b.series.Values {
			if x := float64(v.Value); math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			p := to.Sum().DataPoints().AppendEmpty()
			g.stamp(int64(v.Timestamp), p)
			p.SetDoubleValue(float64(v.Value))
			g.attributes(p.Attributes())
		}
	}
}

// histogram puts the buckets of one time together. A time at which one of them
// is missing has no point.
func (g *group) histogram(to pmetric.Metric) {
	if to.Type() == pmetric.MetricTypeEmpty {
		to.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	last := len(g.buckets) - 1
	if last < 0 || !math.IsInf(g.buckets[last].bound, 1) {
		return // without the whole there is no count
	}
	for _, v := range g.buckets[last].series.Values {
		counts := make([]uint64, 0, len(g.buckets))
		below := 0.
		for k := range g.buckets {
			b := &g.buckets[k]
			for b.next < len(b.series.Values) && b.series.Values[b.next].Timestamp < v.Timestamp {
				b.next++
			}
			if b.next == len(b.series.Values) || b.series.Values[b.next].Timestamp != v.Timestamp {
				break
			}
			x := float64(b.series.Values[b.next].Value)
			if !(x >= below) || x > 1<<53 { // NaN, or scraped in the middle of an update
				x = below
			}
			counts = append(counts, uint64(math.Round(x))-uint64(math.Round(below)))
			below = x
		}
		if len(counts) != len(g.buckets) {
			continue
		}
		p := to.Histogram().DataPoints().AppendEmpty()
		g.stamp(int64(v.Timestamp), p)
		bounds := make([]float64, 0, last)
		for _, b := range g.buckets[:last] {
			bounds = append(bounds, b.bound)
		}
		p.ExplicitBounds().FromRaw(bounds)
		p.BucketCounts().FromRaw(counts)
		p.SetCount(uint64(math.Round(below)))
		g.attributes(p.Attributes())
	}
}

func (g *group) stamp(ms int64, p interface {
	SetTimestamp(pcommon.Timestamp)
	SetStartTimestamp(pcommon.Timestamp)
}) {
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.UnixMilli(ms)))
	if g.start != 0 {
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(time.UnixMilli(g.start)))
	}
}

// attributes are the labels, in order.
func (g *group) attributes(out pcommon.Map) {
	names := make([]string, 0, len(g.labels))
	for name := range g.labels {
		if name != "job" && name != "instance" {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	out.EnsureCapacity(len(names))
	for _, name := range names {
		out.PutStr(name, string(g.labels[model.LabelName(name)]))
	}
}

// bounded is a body that ends with an error when it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBody
	}
	return n, err
}
