package anomalyconnector

import (
	"math"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/streams"
)

const (
	seriesIdle     = 15 * time.Minute // after which a silent series is forgotten
	maxLayouts     = 1000             // of histograms' bounds that are remembered
	maxMetricNames = 1000             // of one sender
)

// metric is what the reader keeps of one metric of one sender. All of it
// belongs to its source's lock.
type metric struct {
	name     string
	unit     string
	meaning  meaning
	exports  streams.Metric
	series   map[[2]uint64]*series
	exposed  int64   // till when a counter of errors told of its time, ns
	held     float64 // errors that wait for such time
	heldTill int64   // ns
	telltale bool    // one of its series says how what it counts ended
}

// metricKey: senders that one source cannot tell apart are told apart by all
// of their resources' attributes, or their cumulative points would mix.
type metricKey struct {
	resource    uint64
	scope, name string
}

// series is what the reader keeps of one series.
type series struct {
	stream    streams.Stream
	operation string
	family    detect.Family
	outcome   outcome
	probe     bool
	refused   bool // none of the service's own requests
	seen      time.Time
}

// seriesBudget counts a service's series over all its instances.
type seriesBudget struct{ n atomic.Int64 }

// budgetOf finds or makes the budget of a service; further services share one.
func (m *monitor) budgetOf(service, environment string) *seriesBudget {
	m.minersMu.Lock()
	defer m.minersMu.Unlock()
	key := serviceKey{service, environment}
	if len(m.budgets) >= m.config.Limits.Services && m.budgets[key] == nil {
		key = serviceKey{}
	}
	if m.budgets[key] == nil {
		m.budgets[key] = &seriesBudget{}
	}
	return m.budgets[key]
}

// clearBudgets forgets what series were counted; their sources are forgotten, too.
func (m *monitor) clearBudgets() {
	m.minersMu.Lock()
	defer m.minersMu.Unlock()
	clear(m.budgets)
}

// fingerprint is the identity of a set of attributes, whatever their order.
func fingerprint(attributes pcommon.Map) [2]uint64 {
	var out [2]uint64
	for key, value := range attributes.All() {
		h := bits.RotateLeft64(xxhash.Sum64String(key), 29) * 0x9E3779B97F4A7C15
		switch value.Type() {
		case pcommon.ValueTypeStr:
			h ^= xxhash.Sum64String(value.Str())
		case pcommon.ValueTypeInt:
			h ^= uint64(value.Int()) * 0xC2B2AE3D27D4EB4F
		case pcommon.ValueTypeBool:
			if value.Bool() {
				h = ^h
			}
		case pcommon.ValueTypeDouble:
			h ^= math.Float64bits(value.Double()) * 0x165667B19E3779F9
		default:
			h ^= xxhash.Sum64String(value.AsString())
		}
		h = (h ^ h>>32) * 0xD6E8FEB86659FD93
		h ^= h >> 32
		out[0] += h
		out[1] += h * h
	}
	return out
}

// metric finds or makes the state of a metric; nil over the limit. The lock is held.
func (s *source) metric(resource uint64, scope, name, unit string) *metric {
	key := metricKey{resource, scope, name}
	x := s.metrics[key]
	if x == nil {
		if len(s.metrics) >= maxMetricNames {
			return nil
		}
		if s.metrics == nil {
			s.metrics = map[metricKey]*metric{}
		}
		key.scope, key.name = strings.Clone(scope), strings.Clone(name)
		x = &metric{name: key.name, unit: strings.Clone(unit), meaning: meaningOf(name, unit, scope), series: map[[2]uint64]*series{}}
		s.metrics[key] = x
	}
	return x
}

// find finds or makes the state of a series; nil over the limit. The lock of
// the source is held.
func (m *monitor) find(s *source, x *metric, attributes pcommon.Map, now time.Time) *series {
	key := fingerprint(attributes)
	found := x.series[key]
	if found == nil {
		if s.budget.n.Load() >= int64(m.config.Limits.Series) {
			return nil
		}
		s.budget.n.Add(1)
		l := readLabels(attributes)
		found = &series{outcome: l.outcome}
		op, family, ok := x.meaning.operation(x.name, l)
		found.operation, found.family, found.probe, found.refused = strings.Clone(op.name), family, op.probe, !ok
		x.series[key] = found
		x.telltale = x.telltale || l.outcome != untold
	}
	found.seen = now
	return found
}

// forgetSeries lets go of what was silent for long. One of a metric that is
// still exported may come back with an old count, so that is noted.
func (m *monitor) forgetSeries(now time.Time) {
	m.sources.mu.RLock()
	all := make([]*source, 0, len(m.sources.byKey))
	for _, s := range m.sources.byKey {
		all = append(all, s)
	}
	m.sources.mu.RUnlock()
	for _, s := range all {
		s.mu.Lock()
		for key, x := range s.metrics {
			for id, y := range x.series {
				if now.Sub(y.seen) > seriesIdle {
					delete(x.series, id)
					x.exports.Forget()
					s.budget.n.Add(-1)
				}
			}
			if len(x.series) == 0 {
				delete(s.metrics, key)
			}
		}
		s.mu.Unlock()
	}
}

// layouts remembers histograms' bounds. Few differ, and those of one kind must
// be one for the engine.
type layouts struct {
	mu          sync.RWMutex
	explicit    map[uint64]*explicitLayout
	exponential map[exponentialKey]*detect.ExponentialLayout
}

type explicitLayout struct {
	*detect.Layout
	bounds []float64
	ns     float64
}

type exponentialKey struct {
	scale int
	ns    float64
}

// of gives the layout of bounds, in units of so many nanoseconds; nil where
// they are none.
func (l *layouts) of(bounds pcommon.Float64Slice, ns float64) *explicitLayout {
	h := math.Float64bits(ns)
	for i := range bounds.Len() {
		h = (bits.RotateLeft64(h, 5) ^ math.Float64bits(bounds.At(i))) * 0x9E3779B97F4A7C15
	}
	l.mu.RLock()
	found := l.explicit[h]
	l.mu.RUnlock()
	if found != nil && found.ns == ns && sameBounds(found.bounds, bounds) {
		return found
	}
	in := make([]float64, bounds.Len())
	for i := range in {
		in[i] = bounds.At(i) * ns
	}
	made, ok := detect.NewLayout(in)
	if !ok {
		return nil
	}
	found = &explicitLayout{made, bounds.AsRaw(), ns}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.explicit == nil || len(l.explicit) >= maxLayouts {
		l.explicit = map[uint64]*explicitLayout{}
	}
	l.explicit[h] = found
	return found
}

func sameBounds(a []float64, b pcommon.Float64Slice) bool {
	if len(a) != b.Len() {
		return false
	}
	for i, x := range a {
		if x != b.At(i) {
			return false
		}
	}
	return true
}

func (l *layouts) ofScale(scale int, ns float64) *detect.ExponentialLayout {
	key := exponentialKey{min(scale, detect.MaxScale), ns}
	l.mu.RLock()
	found := l.exponential[key]
	l.mu.RUnlock()
	if found != nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exponential == nil || len(l.exponential) >= maxLayouts {
		l.exponential = map[exponentialKey]*detect.ExponentialLayout{}
	}
	if l.exponential[key] == nil {
		l.exponential[key] = detect.NewExponentialLayout(key.scale, ns)
	}
	return l.exponential[key]
}
