package backtest

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/event"
)

// Detector is what is played: the anomaly connector's readers and engine.
type Detector interface {
	Traces(td ptrace.Traces, at time.Time)
	Metrics(md pmetric.Metrics, at time.Time)
	Logs(ld plog.Logs, at time.Time)
	// Deploy tells of a deployment, and gives the one that it became.
	Deploy(d event.Deployment) event.Deployment
	// Step lets the clock reach now and gives what changed.
	Step(now time.Time) ([]event.Verdict, []event.Anomaly)
	// Finish ends the recording, and gives the last verdicts of all deployments.
	Finish() []event.Verdict
}

// Options of a run.
type Options struct {
	Deploys []Deploy // by start
	// Emit takes each line as it is told.
	Emit func(Line) error
	// Progress is told the event time that was reached, about once a simulated minute.
	Progress func(at time.Time)
}

// maxIdle is how long the clock ticks on without telemetry, in seconds; then
// it jumps to where it goes on.
const maxIdle = 3600

// settling is how many seconds the clock ticks on after the last item: the
// detector's lateness and a tick.
const settling = 2

// notice is a deployment as it is told at a second.
type notice struct {
	second int64
	d      event.Deployment
	given  string
}

// Play plays the input. begin makes the detector for the event time at which
// the input begins. The clock stops when the last item was judged: what no
// telemetry covers is not judged.
func (in *Input) Play(ctx context.Context, begin func(start time.Time) Detector, o Options) error {
	p := &player{ctx: ctx, options: o, ids: map[string]string{}}
	from, to := in.settle()
	for _, d := range o.Deploys {
		p.notices = append(p.notices, notice{d.StartedAt.Unix(), d.deployment(false), d.ID})
		if !d.FinishedAt.IsZero() {
			p.notices = append(p.notices, notice{d.FinishedAt.Unix(), d.deployment(true), d.ID})
		}
	}
	sortNotices(p.notices)
	if err := in.sorted.each(func(b batch) error {
		if b.second < from || b.second >= to {
			return nil
		}
		if p.detector == nil {
			p.clock = b.second
			if len(p.notices) > 0 {
				p.clock = min(p.clock, max(p.notices[0].second, b.second-maxIdle))
			}
			p.detector = begin(time.Unix(p.clock, 0).UTC())
		}
		if err := p.reach(b.second); err != nil {
			return err
		}
		return p.feed(b)
	}); err != nil {
		return err
	}
	if p.detector == nil {
		start := time.Unix(0, 0).UTC()
		if len(p.notices) > 0 {
			start = time.Unix(p.notices[0].second, 0).UTC()
		}
		p.clock = start.Unix()
		p.detector = begin(start)
	}
	for range settling {
		if err := p.tick(); err != nil {
			return err
		}
	}
	if len(p.notices) > 0 { // deployments after the end of the telemetry
		for _, n := range p.notices {
			p.deploy(n)
		}
		p.notices = nil
		if err := p.tick(); err != nil {
			return err
		}
	}
	if o.Progress != nil {
		o.Progress(time.Unix(p.clock, 0).UTC())
	}
	for _, v := range p.detector.Finish() {
		l := verdictLine(v, p.ids)
		l.Final = true
		if err := o.Emit(l); err != nil {
			return err
		}
	}
	return nil
}

type player struct {
	ctx      context.Context
	options  Options
	detector Detector
	notices  []notice
	ids      map[string]string // given ids by the ledger's
	clock    int64             // the second that is being filled
	idle     int64             // seconds since the last telemetry
}

// reach ticks until the clock is at a second.
func (p *player) reach(second int64) error {
	for p.clock < second {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if p.idle > maxIdle {
			next := second
			if len(p.notices) > 0 {
				next = min(next, p.notices[0].second)
			}
			if next > p.clock+1 {
				p.clock = next - 1
			}
			p.idle = 0
		}
		if err := p.tick(); err != nil {
			return err
		}
		p.idle++
	}
	p.tellDeploys()
	return nil
}

// tick ends the current second.
func (p *player) tick() error {
	p.tellDeploys()
	p.clock++
	at := time.Unix(p.clock, 0).UTC()
	verdicts, anomalies := p.detector.Step(at)
	for _, v := range verdicts {
		if err := p.options.Emit(verdictLine(v, p.ids)); err != nil {
			return err
		}
	}
	for _, a := range anomalies {
		if err := p.options.Emit(anomalyLine(a, p.ids)); err != nil {
			return err
		}
	}
	if p.options.Progress != nil && p.clock%60 == 0 {
		p.options.Progress(at)
	}
	return nil
}

// tellDeploys tells the deployments of up to now.
func (p *player) tellDeploys() {
	for len(p.notices) > 0 && p.notices[0].second <= p.clock {
		p.deploy(p.notices[0])
		p.notices = p.notices[1:]
	}
}

func (p *player) deploy(n notice) {
	became := p.detector.Deploy(n.d)
	if n.given != "" && p.ids[became.ID] == "" {
		p.ids[became.ID] = n.given
	}
}

func (p *player) feed(b batch) error {
	p.idle = 0
	at := time.Unix(0, b.earliest).UTC()
	var err error
	switch b.signal {
	case traces:
		var td ptrace.Traces
		if td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b.data); err == nil {
			p.detector.Traces(td, at)
		}
	case metrics:
		var md pmetric.Metrics
		if md, err = (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b.data); err == nil {
			p.detector.Metrics(md, at)
		}
	case logs:
		var ld plog.Logs
		if ld, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(b.data); err == nil {
			p.detector.Logs(ld, at)
		}
	}
	if err != nil {
		return fmt.Errorf("decode a sorted batch: %w", err)
	}
	return nil
}
