package anomalyconnector

import (
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// patterns mines the log templates of one service, over all its instances, so
// that both versions' lines fall into the same groups.
type patterns struct {
	mu    sync.Mutex
	miner *logpattern.Miner
}

func (p *patterns) template(line string) (key uint64, template string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, _ := p.miner.Add(line)
	if t == nil {
		return 0, "", false
	}
	return t.Key(), t.Text(), true
}

type serviceKey struct{ service, environment string }

// patternsOf finds or makes the patterns of a service. Beyond the limit of
// services the further ones share one: their groups mix, their counts do not.
func (m *monitor) patternsOf(service, environment string) *patterns {
	m.minersMu.Lock()
	defer m.minersMu.Unlock()
	key := serviceKey{service, environment}
	if p := m.miners[key]; p != nil {
		return p
	}
	if len(m.miners) >= m.config.Limits.Services {
		key = serviceKey{}
		if p := m.miners[key]; p != nil {
			return p
		}
	}
	p := &patterns{miner: logpattern.NewMiner(logpattern.Options{MaxTemplates: m.config.Limits.Templates})}
	m.miners[key] = p
	return p
}

// maxExceptions bounds the exceptions whose fingerprint is remembered.
const maxExceptions = 4096

// exceptions remembers fingerprints by the whole text, since reading a stack
// costs a thousand times a look-up and an error storm repeats few stacks.
type exceptions struct {
	mu    sync.RWMutex
	byKey map[uint64]logpattern.Exception
}

func newExceptions() exceptions {
	return exceptions{byKey: map[uint64]logpattern.Exception{}}
}

func (x *exceptions) of(typ, message, stack string) logpattern.Exception {
	key := xxhash.Sum64String(typ) * 31
	if stack != "" {
		key ^= xxhash.Sum64String(stack)
	} else {
		key ^= xxhash.Sum64String(message)
	}
	x.mu.RLock()
	known, ok := x.byKey[key]
	x.mu.RUnlock()
	if ok {
		return known
	}
	known = logpattern.Fingerprint(typ, message, stack)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.byKey) >= maxExceptions {
		clear(x.byKey)
	}
	x.byKey[key] = own(known)
	return known
}
