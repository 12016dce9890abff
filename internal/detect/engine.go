package detect

import (
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Engine holds the services, their histories and the watches. Observations may
// come from any number of goroutines; all other methods are serialised.
type Engine struct {
	cfg    Config
	clock  clock
	open   atomic.Int64 // the earliest open second
	oldest atomic.Int64 // event time (ns) before which an item is too late
	newest atomic.Int64 // the last second that may be counted yet

	held     atomic.Int64 // bytes, see memory
	pressure atomic.Int32 // what is shed for want of memory

	mu       sync.RWMutex // guards the registry
	services map[serviceKey]*service
	order    []*service // by first sight
	evicted  []*service // since the last Tick

	work     sync.Mutex // serialises all but observations
	watches  map[string]*watch
	queue    []*watch // by opening
	scratch  scratch
	nats     []float64 // of weigh, reused
	recorded int       // levels with a record
	placebos placebos

	unprompted []Unprompted // since it was last asked for
}

// New makes an engine.
func New(cfg Config) *Engine {
	def := func(d *time.Duration, value, most time.Duration) {
		if *d <= 0 {
			*d = value
		}
		*d = min(*d, most)
	}
	count := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	def(&cfg.AllowedLateness, time.Second, 5*time.Second)
	def(&cfg.MaxDelay, time.Minute, time.Hour)
	def(&cfg.MaxAhead, 5*time.Second, 5*time.Second)
	def(&cfg.Warmup, 30*time.Second, time.Hour)
	def(&cfg.Refresh, 10*time.Second, time.Hour)
	def(&cfg.Limits.SourceIdle, 5*time.Minute, 24*time.Hour)
	count(&cfg.Limits.Services, 2000)
	count(&cfg.Limits.Sources, 500)
	count(&cfg.Limits.Operations, 200)
	count(&cfg.Limits.Patterns, 2000)
	count(&cfg.Limits.Watches, 500)
	if !(cfg.FalseAlarms > 0) {
		cfg.FalseAlarms = 1
	}
	cfg.FalseAlarms = math.Min(cfg.FalseAlarms, 500)
	if !(cfg.Objective > 0 && cfg.Objective < 1) {
		cfg.Objective = .999
	}
	def(&cfg.ObjectiveWindow, 30*24*time.Hour, 366*24*time.Hour)
	if !(cfg.MinErrorRatio > 0) {
		cfg.MinErrorRatio = .001
	}
	if !(cfg.MinRateRatio > 1) {
		cfg.MinRateRatio = 1.1
	}
	cfg.Watches = sortedWatches(cfg.Watches)
	if len(cfg.Watches) == 0 {
		cfg.Watches = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}
	}
	def(&cfg.Placebos.Window, 10*time.Minute, cfg.Watches[len(cfg.Watches)-1])
	if !(cfg.AlwaysOn.FalseAlarms > 0) {
		cfg.AlwaysOn.FalseAlarms = .1
	}
	if cfg.AlwaysOn.Indicators == 0 {
		cfg.AlwaysOn.Indicators = 10000
	}
	if cfg.Placebos.Indicators == 0 {
		cfg.Placebos.Indicators = 2000
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Now()
	}
	e := &Engine{cfg: cfg, services: map[serviceKey]*service{}, watches: map[string]*watch{}}
	e.placebos.window, e.placebos.budget = max(int64(cfg.Placebos.Window/time.Second), 1), cfg.Placebos.Indicators
	e.clock.now = cfg.Start.UnixNano()
	e.advance(floorSecond(e.clock.now - int64(cfg.AllowedLateness)))
	return e
}

func sortedWatches(in []time.Duration) []time.Duration {
	var out []time.Duration
	for _, d := range in {
		if d > 0 {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func floorSecond(ns int64) int64 {
	sec := ns / second
	if ns < 0 && ns%second != 0 {
		sec--
	}
	return sec
}

// advance opens the seconds from open on.
func (e *Engine) advance(open int64) {
	lateness := int64(e.cfg.AllowedLateness)
	e.oldest.Store(open*second + lateness - int64(e.cfg.MaxDelay))
	// The clock of the last Tick may be a second old by the next one.
	e.newest.Store(open + (lateness+int64(e.cfg.MaxAhead))/second + 1)
	e.open.Store(open)
}

// Source finds or makes the source of an origin: the same pointer for the same
// origin. Keep it as long as you like; one that was evicted comes back by itself.
func (e *Engine) Source(o Origin) *Source {
	return e.serviceOf(o.Service, o.Environment).source(o)
}

func (e *Engine) serviceOf(name, environment string) *service {
	e.mu.RLock()
	found := e.services[serviceKey{name, environment}]
	e.mu.RUnlock()
	if found != nil {
		return found
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.make(serviceKey{name, environment})
}

// hold finds or makes a service that is going to be watched: from now on it is
// not forgotten.
func (e *Engine) hold(name, environment string) *service {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.make(serviceKey{name, environment})
	s.held.Add(1)
	return s
}

// make finds or makes a service; the registry's lock is held.
func (e *Engine) make(key serviceKey) *service {
	if found := e.services[key]; found != nil {
		return found
	}
	if (len(e.services) >= e.cfg.Limits.Services || e.sheds(shedAll)) && !e.evictService() {
		key = serviceKey{overflowService, ""}
		if found := e.services[key]; found != nil {
			return found
		}
	}
	made := newService(e, key)
	made.lastActive.Store(e.open.Load())
	e.services[key] = made
	e.order = append(e.order, made)
	return made
}

// overflowService stands for the services over the cap. All its sources are
// over the limit.
const overflowService = "\x00other services"

// evictService forgets the service that was silent longest, if one was long
// enough and is not watched.
func (e *Engine) evictService() bool {
	best := -1
	for i, s := range e.order {
		if s.held.Load() == 0 && (best < 0 || s.lastActive.Load() < e.order[best].lastActive.Load()) {
			best = i
		}
	}
	if best < 0 || e.order[best].lastActive.Load() > e.open.Load()-int64(e.cfg.Limits.SourceIdle/time.Second) {
		return false
	}
	delete(e.services, e.order[best].key)
	e.evicted = append(e.evicted, e.order[best])
	e.order = append(e.order[:best], e.order[best+1:]...)
	return true
}

// Refuse counts telemetry of a service that was not used, under a name of the
// caller's, so that the verdicts it touched can tell. At most 32 names a
// service; more count as "other_losses".
func (e *Engine) Refuse(o Origin, name string, n uint64) {
	e.serviceOf(o.Service, o.Environment).losses.add(name, n)
}

// Status tells the engine's size and its losses.
func (e *Engine) Status() Status {
	e.work.Lock()
	defer e.work.Unlock()
	st := Status{Memory: e.held.Load(), Watermark: e.clock.timeOf(e.open.Load())}
	total := map[string]uint64{}
	for _, s := range e.list() {
		st.Services++
		s.mu.Lock()
		st.Sources += len(s.sources)
		st.Operations += len(s.ops) - 1
		st.Patterns += len(s.patterns) - 1
		s.mu.Unlock()
		for name, n := range s.losses.snapshot() {
			total[name] += n
		}
	}
	for _, w := range e.queue {
		st.Watches++
		if !w.ended {
			st.OpenWatches++
			st.Indicators += len(w.indicators)
		}
	}
	st.Losses = lossList(total, nil)
	st.Placebos = e.placebos.status()
	return st
}

// list copies the registry, so that it may be walked without its lock.
func (e *Engine) list() []*service {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return append([]*service(nil), e.order...)
}

// Verdict gives the verdict of a deployment as it is now known.
func (e *Engine) Verdict(deploymentID string) (event.Verdict, bool) {
	e.work.Lock()
	defer e.work.Unlock()
	w := e.watches[deploymentID]
	if w == nil {
		return event.Verdict{}, false
	}
	return w.verdict(e.clock.wall(e.clock.now)), true
}

// Recovery tells how far the harm of a regressed deployment is undone. The
// zero value: not at all, or the deployment was never regressed.
func (e *Engine) Recovery(deploymentID string) Recovery {
	e.work.Lock()
	defer e.work.Unlock()
	if w := e.watches[deploymentID]; w != nil {
		return w.recovery()
	}
	return Recovery{}
}
