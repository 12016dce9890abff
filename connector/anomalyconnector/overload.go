package anomalyconnector

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// What is shed first, when reading telemetry takes more than its share of the
// processor. Each level sheds what the levels below it shed, too. Entry spans,
// exceptions and golden metrics, on which an alert stands, are never shed here.
const (
	shedNothing    int32 = iota
	shedWork             // inner spans: work that vanished goes unseen
	shedQuietLines       // log lines below WARN
	shedMetrics          // gauges and other metrics that are no golden signal
	shedLogs             // all log lines that are no exceptions
)

// The names under which what was shed is counted.
const (
	lossShedWork    = "shed_inner_spans"
	lossShedQuiet   = "shed_log_lines_below_warn"
	lossShedMetrics = "shed_metric_points_of_the_long_tail"
	lossShedLogs    = "shed_log_lines"
)

// meter measures the time that reading telemetry takes and decides, once a
// second, what to shed. It also keeps a panic of the reader out of the data path.
type meter struct {
	busy   atomic.Int64 // ns spent since the last decision
	level  atomic.Int32
	panics atomic.Uint64
	calm   int // decisions in a row below the budget
}

// reading is one Consume under measurement.
type reading struct {
	monitor *monitor
	began   time.Time
}

func (m *meter) begin(owner *monitor) reading { return reading{monitor: owner, began: time.Now()} }

// end is deferred: it notes the time and recovers.
func (r reading) end() {
	if p := recover(); p != nil {
		if r.monitor.meter.panics.Add(1) <= 10 { // a panic in every batch must not fill the disk
			r.monitor.logger.Error("reading telemetry panicked; the batch passes on, what was unread of it does not count",
				zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
		}
	}
	r.monitor.meter.busy.Add(int64(time.Since(r.began)))
}

// decide is called once a second with what has passed since the last call.
func (m *meter) decide(passed time.Duration, cores float64) (level int32, changed bool) {
	if passed <= 0 {
		return m.level.Load(), false
	}
	used := float64(m.busy.Swap(0)) / float64(passed)
	was := m.level.Load()
	level = was
	switch {
	case used > cores:
		m.calm = 0
		level = min(was+1, shedLogs)
	case used < cores/2:
		if m.calm++; m.calm >= 10 { // back slowly, so that it does not swing
			m.calm = 0
			level = max(was-1, shedNothing)
		}
	default:
		m.calm = 0
	}
	m.level.Store(level)
	return level, level != was
}
