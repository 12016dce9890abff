package anomalyconnector

import "sync"

// maxRoutes bounds the pairs of method and route that are remembered.
const maxRoutes = 10_000

// routeTable remembers operations that are made of a method and a route.
type routeTable struct {
	mu    sync.RWMutex
	byKey map[[2]string]operation
}

var routes = routeTable{byKey: map[[2]string]operation{}}

func (t *routeTable) get(key [2]string) (operation, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	op, ok := t.byKey[key]
	return op, ok
}

func (t *routeTable) put(key [2]string, op operation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byKey) >= maxRoutes {
		clear(t.byKey)
	}
	t.byKey[key] = op
}
