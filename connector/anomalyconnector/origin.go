package anomalyconnector

import (
	"encoding/binary"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// identity is what of a resource's attributes says who sends.
type identity struct {
	service, environment, version, revision, instance, pod, host, started string
	environmentRank, revisionRank                                         int
}

// Names of when the instance began, and of what stands in for its id.
const (
	attrProcessStart = "process.creation.time"
	attrPodStart     = "k8s.pod.start_time"
	attrPodName      = "k8s.pod.name"
	attrHostName     = "host.name"
)

// read takes the few attributes in use; the strings still belong to pdata.
func (id *identity) read(attributes pcommon.Map) {
	*id = identity{environmentRank: len(event.EnvironmentNames), revisionRank: len(event.RevisionNames)}
	for key, value := range attributes.All() {
		// The first byte decides for most keys before any comparison.
		switch key[0:min(1, len(key))] {
		case "s":
			switch key {
			case event.AttrServiceName:
				id.service = text(value)
			case event.AttrServiceVersion:
				id.version = text(value)
			case event.AttrServiceInstanceID:
				id.instance = text(value)
			}
		case "d":
			for rank, name := range event.EnvironmentNames {
				if key == name && rank < id.environmentRank {
					id.environment, id.environmentRank = text(value), rank
				}
			}
		case "v", "g":
			for rank, name := range event.RevisionNames {
				if key == name && rank < id.revisionRank {
					id.revision, id.revisionRank = text(value), rank
				}
			}
		case "k":
			switch key {
			case attrPodName:
				id.pod = text(value)
			case attrPodStart:
				id.started = text(value)
			}
		case "h":
			if key == attrHostName {
				id.host = text(value)
			}
		case "p":
			if key == attrProcessStart {
				id.started = text(value)
			}
		}
	}
	if id.environment == "" {
		id.environment = event.DefaultEnvironment
	}
	if id.instance == "" {
		if id.instance = id.pod; id.instance == "" {
			id.instance = id.host
		}
	}
}

func text(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return v.AsString()
}

// source is what the reader keeps of one resource: the engine's source and the
// scratch space of reading. Its lock is held for one batch of the resource.
type source struct {
	mu       sync.Mutex
	engine   *detect.Source
	origin   detect.Origin
	patterns *patterns // of the service
	names    names
	example  example // reused: the engine asks it only for the few it keeps
	callees  callees
	thinning thinning
	metrics  map[metricKey]*metric
	budget   *seriesBudget // of the service
	deltas   deltas
	tallied  uint64 // points of metrics that were used, or counted by name
}

// sources finds the source of a resource. The key is every attribute in use,
// whole, so that two resources never share one by chance. It is bounded: full,
// it starts anew, and the engine finds its own again.
type sources struct {
	mu    sync.RWMutex
	byKey map[string]*source
	max   int
}

// keys are the buffers that keys are built in.
var keys = sync.Pool{New: func() any { return new([]byte) }}

func (m *monitor) source(attributes pcommon.Map) *source {
	var id identity
	id.read(attributes)
	if id.service == "" {
		return nil
	}
	buffer := keys.Get().(*[]byte)
	defer keys.Put(buffer)
	key := (*buffer)[:0]
	for _, part := range [...]string{id.service, id.environment, id.version, id.revision, id.instance, id.started} {
		key = binary.AppendUvarint(key, uint64(len(part)))
		key = append(key, part...)
	}
	*buffer = key
	m.sources.mu.RLock()
	found := m.sources.byKey[string(key)]
	m.sources.mu.RUnlock()
	if found != nil {
		return found
	}
	return m.newSource(string(key), id)
}

func (m *monitor) newSource(key string, id identity) *source {
	// The parts of a key that this makes outlive the batch: copy once.
	own := func(s string) string { return string(append([]byte(nil), s...)) }
	origin := detect.Origin{
		Service: own(id.service), Environment: own(id.environment), Version: own(id.version),
		Revision: own(id.revision), Instance: own(id.instance),
	}
	if t, err := time.Parse(time.RFC3339Nano, id.started); err == nil {
		origin.StartedAt = t.UTC()
	}
	m.sources.mu.Lock()
	defer m.sources.mu.Unlock()
	if found := m.sources.byKey[key]; found != nil {
		return found
	}
	if len(m.sources.byKey) >= m.sources.max {
		clear(m.sources.byKey)
		m.clearBudgets()
	}
	made := &source{engine: m.engine.Source(origin), origin: origin, patterns: m.patternsOf(origin.Service, origin.Environment), budget: m.budgetOf(origin.Service, origin.Environment)}
	m.sources.byKey[key] = made
	return made
}
