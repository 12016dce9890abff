package anomalyconnector

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/event"
)

// maxNames bounds the span names that one source remembers; more are worked
// out anew each time, and the engine's cap counts them as other operations.
const maxNames = 512

// operation is what is made of a span's name.
type operation struct {
	name  string
	probe bool // a health check: not the users' traffic
	route bool // the name is a bare method: the route makes the operation
}

// names remembers what became of span names.
type names struct {
	last   string
	lastOp operation
	byName map[string]operation
}

// of gives the operation of a span name. The name may still belong to pdata:
// it is copied when it is kept.
func (n *names) of(name string) operation {
	if name == n.last {
		return n.lastOp
	}
	op, ok := n.byName[name]
	if !ok {
		own := strings.Clone(name)
		op = newOperation(own)
		if len(n.byName) >= maxNames {
			return op
		}
		if n.byName == nil {
			n.byName = make(map[string]operation)
		}
		n.byName[own] = op
		n.last, n.lastOp = own, op
		return op
	}
	// op.name may be masked; the key is what must be compared with next.
	if op.name == name {
		n.last, n.lastOp = op.name, op
	}
	return op
}

func newOperation(name string) operation {
	if isMethod(name) {
		return operation{name: name, route: true}
	}
	op := operation{name: maskPath(name)}
	op.probe = isProbe(op.name)
	return op
}

// routed makes "POST /cart/checkout" of a bare method and the span's route.
func (n *names) routed(method string, attributes pcommon.Map) operation {
	value, ok := attributes.Get(event.AttrHTTPRoute)
	if !ok {
		return operation{name: method}
	}
	route := text(value)
	// A composite key without allocating: the map of routes of this method.
	key := [2]string{method, route}
	if op, ok := routes.get(key); ok {
		return op
	}
	op := newOperation(strings.TrimPrefix(method, "HTTP ") + " " + route)
	routes.put([2]string{strings.Clone(method), strings.Clone(route)}, op)
	return op
}

func isMethod(name string) bool {
	switch strings.TrimPrefix(name, "HTTP ") {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY", "HTTP":
		return true
	}
	return false
}

var probePaths = []string{
	"/healthz", "/livez", "/readyz", "/ping", "/health", "/healthcheck", "/health-check",
	"/live", "/ready", "/readiness", "/liveness", "/-/healthy", "/-/ready", "/health/live", "/health/ready",
	"/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness",
}

// isProbe knows the health checks by their route or RPC service.
func isProbe(name string) bool {
	if strings.Contains(name, "grpc.health.v1.Health") {
		return true
	}
	slash := strings.IndexByte(name, '/')
	if slash < 0 {
		return false
	}
	route := strings.TrimSuffix(name[slash:], "/")
	for _, p := range probePaths {
		if route == p {
			return true
		}
	}
	return false
}

// maskPath puts {id} for the elements of a path that are ids (numbers, UUIDs,
// long hexadecimal), as a route would: instrumentation without routes makes an
// operation of every URL. A query is dropped.
func maskPath(name string) string {
	if strings.IndexByte(name, '/') < 0 {
		return name
	}
	if i := strings.IndexByte(name, '?'); i >= 0 {
		name = name[:i]
	}
	var b strings.Builder
	changed := false
	for i := 0; i < len(name); {
		b.WriteByte(name[i])
		if name[i] != '/' {
			i++
			continue
		}
		i++
		end := i
		for end < len(name) && name[end] != '/' && name[end] != ' ' {
			end++
		}
		if part := name[i:end]; isID(part) {
			b.WriteString("{id}")
			changed = true
		} else {
			b.WriteString(part)
		}
		i = end
	}
	if !changed {
		return name
	}
	return b.String()
}

func isID(part string) bool {
	digits, hex, other := 0, 0, 0
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		case c == '-':
		default:
			other++
		}
	}
	return digits > 0 && other == 0 && (hex == 0 || digits+hex >= 8)
}
