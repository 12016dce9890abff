package anomalyconnector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
	"github.com/deployloop/deployloop/internal/loopmetrics/loopotlp"
)

// monitor is what the nodes of one component share: one engine, one state.
//
// Reading (readTraces, readLogs) runs in the callers' goroutines and touches
// only what has its own lock. All else belongs to the loop's goroutine; what
// works in the background hands its result to the loop as a function.
type monitor struct {
	config *Config
	id     component.ID
	logger *zap.Logger
	set    component.TelemetrySettings
	now    func() time.Time
	manual bool // a test steps; no loop, no sender

	inputs  map[pipeline.Signal]bool // guarded by monitors
	users   int                      // guarded by monitors
	logs    consumer.Logs
	metrics consumer.Metrics

	engine     *detect.Engine
	sources    sources
	minersMu   sync.Mutex
	miners     map[serviceKey]*patterns
	budgets    map[serviceKey]*seriesBudget // guarded by minersMu
	layouts    layouts
	tally      func(*source, detect.Tally) // tests listen
	exceptions exceptions
	refused    counters
	calls      calls
	joins      joins
	warned     onceSet
	meter      meter

	ledger interface {
		ledger.Reader
		ledger.Recorder
	}
	store   storage.Client
	updates <-chan ledger.Update
	forget  func() // ends the subscription

	tracked   map[string]*tracked      // by deployment
	records   map[string]*record       // what is told, by kind and id
	standing  map[serviceKey]*standing // what got worse without a deployment
	outbox    outbox
	unsaid    unsaid
	builds    builds
	loop      *loopmetrics.Tracker
	written   loopotlp.Writer
	done      chan func()   // results of background work
	readers   chan struct{} // slots of commit readers
	clones    openClones
	remotes   remotes
	measuring chan struct{} // a metrics hand-over is under way
	began     int64         // when it was made, ns: what began later is all news
	stepped   time.Time
	saved     time.Time
	measured  time.Time
	swept     time.Time
	missed    int

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func newMonitor(set connector.Settings, c *Config) *monitor {
	m := &monitor{
		config: c, id: set.ID, logger: set.Logger, set: set.TelemetrySettings, now: time.Now,
		inputs:  map[pipeline.Signal]bool{},
		sources: sources{byKey: map[string]*source{}, max: min(c.Limits.Services*4, 100_000)},
		miners:  map[serviceKey]*patterns{}, budgets: map[serviceKey]*seriesBudget{},
		tally:      func(s *source, t detect.Tally) { s.engine.Tally(t) },
		exceptions: newExceptions(),
		builds:     newBuilds(c),
		tracked:    map[string]*tracked{}, records: map[string]*record{}, standing: map[serviceKey]*standing{},
		done: make(chan func(), 64), readers: make(chan struct{}, max(c.Limits.CommitWorkers, 1)), measuring: make(chan struct{}, 1),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.calls.refused, m.joins.refused = &m.refused, &m.refused
	m.joins.own = func(s *source, o detect.Own) { s.engine.Own(o) }
	m.outbox.ready = make(chan struct{}, 1)
	m.engine, m.began = newEngineAt(c, m.now()), m.now().UnixNano()
	return m
}

func engineConfig(c *Config, start time.Time) detect.Config {
	out := detect.Config{
		Start: start, MaxAhead: maxAhead, FalseAlarms: c.FalseAlarmsPer1000Deploys, Watches: c.Watch,
		MinErrorRatio: c.MinEffect.ErrorRatio, MinRateRatio: c.MinEffect.RateRatio,
		Objective: c.SLO.Objective, ObjectiveWindow: c.SLO.Window,
		Services: map[string]detect.ServiceConfig{},
		Limits: detect.Limits{
			Services: c.Limits.Services, Sources: c.Limits.Sources, Operations: c.Limits.Operations,
			Patterns: c.Limits.Patterns, Watches: c.Limits.Watches, Memory: int64(c.Limits.Memory) << 20,
		},
	}
	out.Placebos = detect.PlaceboConfig{Window: c.Placebos.Window, Indicators: c.Placebos.Indicators}
	if !c.Placebos.Enabled {
		out.Placebos.Indicators = -1
	}
	out.AlwaysOn = detect.AlwaysOnConfig{FalseAlarms: c.AlwaysOn.FalseAlarmsPerWeek, Indicators: c.AlwaysOn.Indicators}
	if !c.AlwaysOn.Enabled {
		out.AlwaysOn.Indicators = -1
	}
	for _, o := range c.Overrides {
		if _, ok := out.Services[o.Service]; !ok { // the first match wins
			out.Services[o.Service] = detect.ServiceConfig{
				Watches: o.Watch, Signals: o.Signals, MinErrorRatio: o.MinEffect.ErrorRatio, MinRateRatio: o.MinEffect.RateRatio,
				Objective: o.Objective,
			}
		}
	}
	return out
}

// startUp finds the ledger and the storage, puts back what was known, and
// starts the loop. Extensions are up by now.
func (m *monitor) startUp(ctx context.Context, host component.Host) error {
	extension, ok := host.GetExtensions()[m.config.Ledger]
	if !ok {
		return fmt.Errorf("ledger: no extension %q is running; add it to service::extensions", m.config.Ledger)
	}
	if m.ledger, ok = extension.(interface {
		ledger.Reader
		ledger.Recorder
	}); !ok {
		return fmt.Errorf("ledger: extension %q is no ledger; name one of type \"ledger\"", m.config.Ledger)
	}
	if err := m.openStore(ctx, host); err != nil {
		return err
	}
	if err := m.remotes.open(ctx, m.config.Repositories, host, m.set); err != nil {
		return err
	}
	now := m.now()
	m.stepped, m.written.Start = now, now
	m.restore(ctx)
	m.loop = loopmetrics.NewTracker(m.ledger)
	m.updates, m.forget = m.ledger.Subscribe(4096)
	m.adopt(now)
	if m.manual {
		return nil
	}
	m.work.Go(m.run)
	m.work.Go(m.send)
	return nil
}

// shutDown stops the loop, saves the baselines and lets the storage go.
func (m *monitor) shutDown(ctx context.Context) error {
	m.cancel()
	m.work.Wait()
	m.remotes.close()
	if m.forget != nil {
		m.forget()
	}
	if m.store == nil {
		return nil
	}
	m.save(ctx)
	m.saveBuilds(ctx)
	err := m.store.Close(ctx)
	m.store = nil
	return err
}

// run is the loop: it owns the state.
func (m *monitor) run() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case update, open := <-m.updates:
			if !open {
				m.updates = nil // the ledger takes no more subscribers; the tick asks it
				continue
			}
			m.guard(func() { m.learn(update, m.now()) })
		case result := <-m.done:
			m.guard(func() { result(); m.alert(m.now()) })
		case <-ticker.C:
			m.guard(func() { m.step(m.now()) })
		}
	}
}

// guard keeps a defect of the detector from ending the collector.
func (m *monitor) guard(f func()) {
	defer func() {
		if p := recover(); p != nil && m.meter.panics.Add(1) <= 10 {
			m.logger.Error("the detection loop panicked and goes on", zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	f()
}

// step is one tick, at most a second's work: engine, verdicts, closures,
// heartbeats, metrics, snapshot.
func (m *monitor) step(now time.Time) {
	if level, changed := m.meter.decide(now.Sub(m.stepped), m.config.Limits.CPU); changed {
		m.logger.Warn("reading telemetry took more or less than its share of the processor; what is shed changed",
			zap.Int32("level", level), zap.Float64("cores_allowed", m.config.Limits.CPU))
		m.engine.PausePlacebos(level > shedNothing)
	}
	m.stepped = now
	m.drain(now)
	m.joins.resolve(now)
	for _, v := range m.engine.Tick(now) {
		m.judged(v, now)
	}
	m.alert(now)
	m.noDeployments(now)
	m.closeDone(now)
	m.repeat(now)
	m.tellUnsaid(now)
	m.judgeBuilds(now)
	if now.Sub(m.swept) >= time.Minute {
		m.swept = now
		m.forgetSeries(now)
	}
	if now.Sub(m.measured) >= min(m.config.Heartbeat, 15*time.Second) {
		m.measured = now
		m.tellDetection(now)
		m.measure(now)
	}
	if m.store != nil && now.Sub(m.builds.saved) >= saveBuildsEvery {
		m.builds.saved = now
		m.saveBuilds(m.ctx)
	}
	if m.store != nil && now.Sub(m.saved) >= saveEvery {
		m.saved = now
		m.save(m.ctx)
	}
}

// drain takes in what waits, without waiting itself.
func (m *monitor) drain(now time.Time) {
	for range 4096 {
		select {
		case update, open := <-m.updates:
			if !open {
				m.updates = nil
				continue
			}
			m.learn(update, now)
		case result := <-m.done:
			result()
		default:
			return
		}
	}
}

// background runs work beside the loop and hands its result to it.
func (m *monitor) background(work func(context.Context) func()) {
	m.work.Go(func() {
		var result func()
		m.guard(func() { result = work(m.ctx) })
		if result == nil {
			return
		}
		select {
		case m.done <- result:
		case <-m.ctx.Done():
		}
	})
}

// lost lists all telemetry that was not used, by name.
func (m *monitor) lost() []event.Loss {
	losses := slices.Concat(m.engine.Status().Losses, m.refused.list())
	if n := m.meter.panics.Load(); n > 0 {
		losses = append(losses, event.Loss{Name: "panics", Count: n})
	}
	if m.missed > 0 {
		losses = append(losses, event.Loss{Name: "ledger_updates_missed", Count: uint64(m.missed)})
	}
	m.minersMu.Lock()
	defer m.minersMu.Unlock()
	var forgotten uint64
	for _, p := range m.miners {
		p.mu.Lock()
		forgotten += p.miner.Forgotten()
		p.mu.Unlock()
	}
	if forgotten > 0 {
		losses = append(losses, event.Loss{Name: "templates_forgotten", Count: forgotten})
	}
	return losses
}

func newEngineAt(c *Config, start time.Time) *detect.Engine {
	return detect.New(engineConfig(c, start))
}
