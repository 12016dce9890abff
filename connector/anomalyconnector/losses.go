package anomalyconnector

import (
	"strings"
	"sync"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// counters counts by name what belongs to no service. The names are constants.
type counters struct {
	mu     sync.Mutex
	byName map[string]uint64
}

func (c *counters) add(name string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]uint64{}
	}
	c.byName[name] += n
}

func (c *counters) list() []event.Loss {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []event.Loss
	for name, n := range c.byName {
		out = append(out, event.Loss{Name: name, Count: n})
	}
	return out
}

// refuse counts telemetry of a service that was not used; its verdicts tell.
func (m *monitor) refuse(s *source, name string, n uint64) {
	m.engine.Refuse(s.origin, name, n)
}

// onceSet lets each name pass once, up to a limit.
type onceSet struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (o *onceSet) once(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[name] || len(o.seen) >= 1000 {
		return false
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[name] = true
	return true
}

// own copies an exception out of the text that it was read from.
func own(x logpattern.Exception) logpattern.Exception {
	x.Type = strings.Clone(x.Type)
	frames := make([]event.Frame, len(x.Frames))
	for i, f := range x.Frames {
		frames[i] = event.Frame{File: strings.Clone(f.File), Line: f.Line, Function: strings.Clone(f.Function), Module: strings.Clone(f.Module)}
	}
	x.Frames = frames
	return x
}
