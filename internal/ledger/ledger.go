package ledger

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/deployloop/deployloop/internal/event"
)

// Ledger is the state. Its methods may be called from any goroutine.
type Ledger struct {
	limits Limits

	mu          sync.RWMutex
	places      map[placeKey]*place
	deployments map[string]*deployment // by id
	aliases     map[string]*deployment // by an id from elsewhere, or of an absorbed deployment
	ordered     []*deployment          // by start
	told        uint64                 // deployments recorded ever; orders those of one start
	changes     shelf[event.Change]
	abbreviated map[string][]string // first 7 digits of a revision → keys of changes
	runs        shelf[event.PipelineRun]
	anomalies   shelf[event.Anomaly]
	verdicts    shelf[event.Verdict]
	documents   shelf[evidence]
	tellings    shelf[[]event.Telling] // by deployment
	feedback    shelf[event.Feedback]
	detections  []Detection         // by detector, at most maxDetectors
	dirty       map[string]struct{} // keys to be persisted
	dropped     map[string]uint64
	subscribers map[*subscriber]struct{}
	latest      time.Time // the newest time told, for what comes without one

	documentBytes int // of documents
	feedbackBytes int // of feedback
	anomalyBytes  int // of anomalies
	verdictBytes  int // of verdicts

	// seen is the fast path of RecordSighting and Current: what telemetry of
	// one version and revision resolves to. Its own lock, so that the data
	// path waits for no listing; taken after mu when both are held.
	seenMu  sync.RWMutex
	seen    map[seenKey]*sighted
	covered map[placeKey]*coverage // what telemetry was like, at most limits.Places; under seenMu too
}

var (
	_ Reader   = (*Ledger)(nil)
	_ Recorder = (*Ledger)(nil)
)

// dated is an object with the time at which it was last told, which retention
// goes by: a commit may be years old when it is pushed.
type dated[T any] struct {
	Value  T
	ToldAt time.Time
}

// shelf holds objects of one kind by key, least recently told first out.
type shelf[T any] = *simplelru.LRU[string, dated[T]]

// New returns an empty ledger.
func New(limits Limits) *Ledger {
	l := &Ledger{
		limits:      limits.withDefaults(),
		places:      map[placeKey]*place{},
		deployments: map[string]*deployment{},
		aliases:     map[string]*deployment{},
		abbreviated: map[string][]string{},
		dirty:       map[string]struct{}{},
		dropped:     map[string]uint64{},
		subscribers: map[*subscriber]struct{}{},
		seen:        map[seenKey]*sighted{},
		covered:     map[placeKey]*coverage{},
	}
	l.changes = newShelf(l, l.limits.Changes, kindChange, func(key string, c event.Change) { l.forgetAbbreviation(key, c) })
	l.runs = newShelf(l, l.limits.Runs, kindRun, func(string, event.PipelineRun) {})
	l.anomalies = newShelf(l, l.limits.Anomalies, kindAnomaly, func(_ string, a event.Anomaly) { l.anomalyBytes -= a.Size() })
	l.verdicts = newShelf(l, l.limits.Verdicts, kindVerdict, func(_ string, v event.Verdict) { l.verdictBytes -= v.Size() })
	l.tellings = newShelf(l, l.limits.Verdicts, kindTelling, func(string, []event.Telling) {})
	l.feedback = newShelf(l, l.limits.Feedback, kindFeedback, func(_ string, f event.Feedback) { l.feedbackBytes -= f.Size() })
	l.documents = newShelf(l, l.limits.Documents, kindEvidence, func(_ string, e evidence) { l.documentBytes -= len(e.Gzip) })
	return l
}

// newShelf holds objects of one kind, least recently told first out. forget
// is told of every removal.
func newShelf[T any](l *Ledger, size int, kind string, forget func(key string, value T)) shelf[T] {
	shelf, err := simplelru.NewLRU(size, func(key string, d dated[T]) {
		l.touch(kind, key)
		forget(key, d.Value)
	})
	if err != nil { // only a size below one, which withDefaults excludes
		panic(err)
	}
	return shelf
}

// put stores value under key as told now, and marks it to be persisted.
func put[T any](l *Ledger, shelf shelf[T], kind, overflow, key string, value T) {
	if shelf.Add(key, dated[T]{value, l.latest}) {
		l.dropped[overflow]++
	}
	l.touch(kind, key)
}

// sized is what takes so many bytes, about, whatever becomes of it.
type sized interface{ Size() int }

// putSized is put on a shelf that is bounded in bytes too; held is what it holds.
func putSized[T sized](l *Ledger, shelf shelf[T], held *int, kind, overflow, key string, value T) {
	shelf.Remove(key) // counts its bytes out
	*held += value.Size()
	put(l, shelf, kind, overflow, key, value)
	trim(l, shelf, held, overflow)
}

// trim lets the least recently told go until all fit.
func trim[T any](l *Ledger, shelf shelf[T], held *int, overflow string) {
	for *held > maxShelfBytes && shelf.Len() > 1 {
		shelf.RemoveOldest()
		l.dropped[overflow]++
	}
}

// loadSized takes what comes back, in any order; Loaded trims.
func loadSized[T sized](shelf shelf[T], held *int, key string, d dated[T]) {
	shelf.Remove(key)
	*held += d.Value.Size()
	shelf.Add(key, d)
}

// touch marks an object to be persisted or deleted.
func (l *Ledger) touch(kind, id string) { l.dirty[kind+id] = struct{}{} }

// clock moves the ledger's notion of now forward and returns it for a zero t.
func (l *Ledger) clock(t time.Time) time.Time {
	if t.IsZero() {
		return l.latest
	}
	if t.After(l.latest) {
		l.latest = t
	}
	return t
}

// Dropped counts by name what was evicted, refused or cut to keep the limits.
func (l *Ledger) Dropped() map[string]uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return maps.Clone(l.dropped)
}

// Sizes counts by kind what is held.
func (l *Ledger) Sizes() map[string]int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return map[string]int{
		"deployments": len(l.deployments), "places": len(l.places), "changes": l.changes.Len(),
		"runs": l.runs.Len(), "anomalies": l.anomalies.Len(), "verdicts": l.verdicts.Len(), "evidence": l.documents.Len(), "feedback": l.feedback.Len(),
	}
}

// Deployment finds one by id or alias.
func (l *Ledger) Deployment(id string) (event.Deployment, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if d := l.find(id); d != nil {
		return cloneDeployment(d.Deployment), true
	}
	return event.Deployment{}, false
}

func (l *Ledger) find(id string) *deployment {
	if d, ok := l.deployments[id]; ok {
		return d
	}
	return l.aliases[id]
}

// Deployments lists newest first, without baselines unless asked for.
func (l *Ledger) Deployments(q Query) []event.Deployment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	from := l.ordered
	if q.Service != "" && q.Environment != "" {
		from = nil
		if p := l.places[placeKey{q.Service, q.Environment}]; p != nil {
			from = p.deployments
		}
	}
	var found []event.Deployment
	for _, d := range slices.Backward(from) {
		if len(found) >= q.limit() || d.StartedAt.Before(q.Since) {
			break
		}
		if q.place(d.Service, d.Environment) && (q.Deployment == "" || l.find(q.Deployment) == d) && (q.Baselines || !d.Baseline) {
			found = append(found, cloneDeployment(d.Deployment))
		}
	}
	return found
}

func (q Query) limit() int { return positive(q.Limit, 100) }

func (q Query) place(service, environment string) bool {
	return (q.Service == "" || q.Service == service) && (q.Environment == "" || q.Environment == environment)
}
