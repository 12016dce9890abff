// Package loopmetrics turns what the ledger knows into the loop's own metrics:
// how often is deployed, what came of it, how long each step of the loop takes
// and what stays open. Pure: the connector emits them as OTLP. docs/metrics.md is their register.
package loopmetrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Kind of a metric family.
type Kind int

// The kinds.
const (
	Gauge Kind = iota
	Counter
	Histogram
)

// Family is a metric with its points, sorted by labels.
type Family struct {
	Name        string // OpenTelemetry name, e.g. deployloop.verdicts
	Unit        string // UCUM
	Description string
	Kind        Kind
	Points      []Point
}

// Point is one series' value.
type Point struct {
	Labels []event.KeyText
	Value  float64 // gauges and counters
	// Histograms: Buckets[i] counts observations in (Bounds[i-1], Bounds[i]],
	// the last those above all bounds. Not cumulative.
	Count    uint64
	Sum      float64
	Buckets  []uint64
	Exemplar *Exemplar
}

// Exemplar is one observation that can be looked at.
type Exemplar struct {
	Value      float64
	AtUnixNano int64
	Deployment string
	TraceID    string // hex; "" when none is known
}

// Bounds of every duration histogram, in seconds: from the loop's own seconds
// to the days that a commit may wait.
var Bounds = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600}

// series holds a family's points while they are built.
type series struct {
	family Family
	points map[string]*Point
	limit  int
	lost   *uint64
}

func newSeries(kind Kind, name, unit, description string, limit int, lost *uint64) *series {
	return &series{family: Family{Name: name, Unit: unit, Description: description, Kind: kind}, points: map[string]*Point{}, limit: limit, lost: lost}
}

// at is the point of the labels (name, text, name, text, …); nil when the
// family is full, which is counted.
func (s *series) at(labels ...string) *Point {
	key := strings.Join(labels, "\xff")
	if p, ok := s.points[key]; ok {
		return p
	}
	if len(s.points) >= s.limit {
		*s.lost++
		return nil
	}
	p := &Point{}
	for i := 0; i+1 < len(labels); i += 2 {
		p.Labels = append(p.Labels, event.KeyText{Key: labels[i], Text: labels[i+1]})
	}
	if s.family.Kind == Histogram {
		p.Buckets = make([]uint64, len(Bounds)+1)
	}
	s.points[key] = p
	return p
}

func (s *series) inc(labels ...string) {
	if p := s.at(labels...); p != nil {
		p.Value++
	}
}

func (s *series) set(v float64, labels ...string) {
	if p := s.at(labels...); p != nil {
		p.Value = v
	}
}

func (s *series) observe(seconds float64, exemplar *Exemplar, labels ...string) {
	p := s.at(labels...)
	if p == nil {
		return
	}
	i, _ := slices.BinarySearch(Bounds, seconds)
	p.Buckets[i]++
	p.Count++
	p.Sum += seconds
	if exemplar != nil {
		p.Exemplar = exemplar
	}
}

// copied is the family as a value of its own, its points in a fixed order.
func (s *series) copied() Family {
	f := s.family
	for _, p := range s.points {
		q := *p
		q.Buckets = slices.Clone(p.Buckets)
		f.Points = append(f.Points, q)
	}
	slices.SortFunc(f.Points, func(a, b Point) int {
		return slices.CompareFunc(a.Labels, b.Labels, func(x, y event.KeyText) int {
			return cmp.Or(strings.Compare(x.Key, y.Key), strings.Compare(x.Text, y.Text))
		})
	})
	return f
}
