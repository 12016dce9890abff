package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Keys of persisted objects begin with their kind.
const (
	kindChange     = "change/"
	kindDeployment = "deployment/"
	kindVerdict    = "verdict/"
	kindAnomaly    = "anomaly/"
	kindRun        = "run/"
	kindEvidence   = "evidence/"
	kindTelling    = "telling/"
	kindFeedback   = "feedback/"
)

// format is the version of the encoding. A reader refuses a newer one.
const format = 1

// Item is one object to be persisted: a nil Value deletes the key.
type Item struct {
	Key   string
	Value []byte
}

// record is the encoding of every object: one JSON document a key.
type record struct {
	Format int       `json:"v"`
	Key    string    `json:"key"` // guards against a value under a wrong key
	ToldAt time.Time `json:"told_at,omitzero"`

	Change     *event.Change      `json:"change,omitempty"`
	Deployment *deploymentRecord  `json:"deployment,omitempty"`
	Verdict    *event.Verdict     `json:"verdict,omitempty"`
	Anomaly    *event.Anomaly     `json:"anomaly,omitempty"`
	Run        *event.PipelineRun `json:"run,omitempty"`
	Evidence   *evidence          `json:"evidence,omitempty"`
	Tellings   *[]event.Telling   `json:"tellings,omitempty"`
	Feedback   *event.Feedback    `json:"feedback,omitempty"`
}

type deploymentRecord struct {
	event.Deployment
	Seq          uint64            `json:"seq"`
	PreviousTold bool              `json:"previous_told,omitempty"`
	RollbackTold bool              `json:"rollback_told,omitempty"`
	AliasSource  map[string]string `json:"alias_source,omitempty"`
	Build        buildRecord       `json:"build"`
}

// buildRecord keeps together, across a restart, what was deployed repeatedly.
type buildRecord struct {
	ID       uint64 `json:"id"`
	Version  string `json:"version,omitempty"`
	Revision string `json:"revision,omitempty"`

	Variants []string `json:"variants,omitempty"` // their versions
}

// Dirty returns what changed since the last call, ready to be written in one
// batch, what is deleted last. If writing fails, give it back to MarkDirty.
func (l *Ledger) Dirty() []Item {
	l.mu.Lock()
	keys := make([]string, 0, len(l.dirty))
	for key := range l.dirty {
		keys = append(keys, key)
	}
	clear(l.dirty)
	slices.Sort(keys)
	records := make([]*record, len(keys))
	for i, key := range keys {
		records[i] = l.snapshot(key)
	}
	l.mu.Unlock()

	// Encoding takes long beside copying, and waits for no lock.
	items := make([]Item, 0, len(keys))
	var deleted []Item
	for i, key := range keys {
		if records[i] == nil {
			deleted = append(deleted, Item{Key: key})
			continue
		}
		value, err := json.Marshal(records[i])
		if err != nil { // a NaN in a verdict: the last good state stays
			l.mu.Lock()
			l.dropped["unencodable"]++
			l.mu.Unlock()
			continue
		}
		items = append(items, Item{key, value})
	}
	return append(items, deleted...)
}

// MarkDirty gives back what could not be written.
func (l *Ledger) MarkDirty(items []Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range items {
		l.dirty[item.Key] = struct{}{}
	}
}

// snapshot copies the object under key; nil when there is none. Objects on
// shelves are replaced and never altered, so sharing their memory is safe.
func (l *Ledger) snapshot(key string) *record {
	kind, id := splitKey(key)
	r := &record{Format: format, Key: key}
	switch kind {
	case kindDeployment:
		d := l.deployments[id]
		if d == nil {
			return nil
		}
		r.Deployment = &deploymentRecord{
			Deployment: cloneDeployment(d.Deployment), Seq: d.seq,
			PreviousTold: d.previousTold, RollbackTold: d.rollbackTold, AliasSource: maps.Clone(d.aliasSource),
			Build: buildRecord{d.build.id, d.build.version, d.build.revision, d.build.variantNames()},
		}
		return r
	case kindChange:
		return shelved(l.changes, id, r, &r.Change)
	case kindVerdict:
		return shelved(l.verdicts, id, r, &r.Verdict)
	case kindAnomaly:
		return shelved(l.anomalies, id, r, &r.Anomaly)
	case kindRun:
		return shelved(l.runs, id, r, &r.Run)
	case kindEvidence:
		return shelved(l.documents, id, r, &r.Evidence)
	case kindTelling:
		return shelved(l.tellings, id, r, &r.Tellings)
	case kindFeedback:
		return shelved(l.feedback, id, r, &r.Feedback)
	}
	return nil
}

func shelved[T any](s shelf[T], id string, r *record, value **T) *record {
	d, ok := s.Peek(id)
	if !ok {
		return nil
	}
	*value, r.ToldAt = &d.Value, d.ToldAt
	return r
}

func splitKey(key string) (kind, id string) {
	i := strings.IndexByte(key, '/') + 1
	return key[:i], key[i:]
}

// Load puts a persisted object back. It returns an error for a value that
// cannot be read, and changes nothing then. Call Loaded when all are back.
func (l *Ledger) Load(key string, value []byte) error {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	switch {
	case r.Format < 1 || r.Format > format:
		return fmt.Errorf("read %q: written in format %d, and this program reads up to %d", key, r.Format, format)
	case r.Key != key:
		return fmt.Errorf("read %q: holds the object of %q", key, r.Key)
	}
	kind, id := splitKey(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case kind == kindDeployment && r.Deployment != nil && r.Deployment.ID == id && r.Deployment.Service != "":
		return l.loadDeployment(r.Deployment)
	case kind == kindChange && r.Change != nil:
		if !l.changes.Contains(id) {
			l.abbreviate(id, r.Change.Revision)
		}
		l.changes.Add(id, dated[event.Change]{*r.Change, r.ToldAt})
	case kind == kindVerdict && r.Verdict != nil:
		loadSized(l.verdicts, &l.verdictBytes, id, dated[event.Verdict]{*r.Verdict, r.ToldAt})
	case kind == kindAnomaly && r.Anomaly != nil && r.Anomaly.ID == id:
		loadSized(l.anomalies, &l.anomalyBytes, id, dated[event.Anomaly]{*r.Anomaly, r.ToldAt})
	case kind == kindRun && r.Run != nil:
		l.runs.Add(id, dated[event.PipelineRun]{*r.Run, r.ToldAt})
	case kind == kindTelling && r.Tellings != nil:
		l.tellings.Add(id, dated[[]event.Telling]{*r.Tellings, r.ToldAt})
	case kind == kindFeedback && r.Feedback != nil && r.Feedback.ID == id:
		f := cloneFeedback(*r.Feedback) // an older program kept more of it
		loadSized(l.feedback, &l.feedbackBytes, id, dated[event.Feedback]{f, r.ToldAt})
	case kind == kindEvidence && r.Evidence != nil:
		l.documents.Remove(id)
		l.documentBytes += len(r.Evidence.Gzip)
		l.documents.Add(id, dated[evidence]{*r.Evidence, r.ToldAt})
	default:
		return fmt.Errorf("read %q: holds no object of that kind", key)
	}
	l.clock(r.ToldAt)
	return nil
}

func (l *Ledger) loadDeployment(r *deploymentRecord) error {
	if l.deployments[r.ID] != nil {
		return errors.New("deployment " + r.ID + " is there twice")
	}
	p := l.placeOf(r.Service, r.Environment)
	if p == nil {
		return errors.New("deployment " + r.ID + ": too many services")
	}
	x := &deployment{
		Deployment: r.Deployment, place: p, seq: r.Seq,
		previousTold: r.PreviousTold, rollbackTold: r.RollbackTold, aliasSource: r.AliasSource,
	}
	l.told = max(l.told, r.Seq)
	for _, b := range p.builds {
		if b.id == r.Build.ID {
			x.build = b
		}
	}
	if x.build == nil {
		x.build = &build{id: r.Build.ID}
		p.builds = append(p.builds, x.build)
	}
	x.build.learn(r.Build.Version, r.Build.Revision)
	for _, version := range r.Build.Variants {
		x.build.addVariant(version)
	}
	l.deployments[x.ID] = x
	for _, id := range x.Aliases {
		l.aliases[id] = x
	}
	p.deployments, l.ordered = insert(p.deployments, x), insert(l.ordered, x)
	p.settled = p.settled || !x.FirstSeenAt.IsZero()
	l.clock(later(x.StartedAt, later(x.FinishedAt, x.FirstSeenAt)))
	return nil
}

// Loaded puts in order what came back in any order.
func (l *Ledger) Loaded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.places {
		p.builds = p.builds[:0]
		for _, d := range p.deployments { // by start: the most recently deployed last
			p.builds = slices.DeleteFunc(p.builds, func(b *build) bool { return b == d.build })
			p.builds = append(p.builds, d.build)
		}
		if head := p.head(); head != nil {
			l.changed(p, head)
		}
		l.enforce(p)
	}
	resort(l.changes)
	resort(l.runs)
	resort(l.verdicts)
	resort(l.tellings)
	resort(l.feedback)
	resort(l.anomalies)
	resort(l.documents)
	l.trimDocuments()
	trim(l, l.feedback, &l.feedbackBytes, "feedback")
	trim(l, l.anomalies, &l.anomalyBytes, "anomalies")
	trim(l, l.verdicts, &l.verdictBytes, "verdicts")
}

// resort puts a shelf in order of telling.
func resort[T any](s shelf[T]) {
	keys := s.Keys()
	slices.SortStableFunc(keys, func(a, b string) int {
		x, _ := s.Peek(a)
		y, _ := s.Peek(b)
		return x.ToldAt.Compare(y.ToldAt)
	})
	for _, key := range keys {
		s.Get(key)
	}
}
