package detect

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

type scratch struct{}
type history struct{}
type indicator struct{}
type watch struct {
	ended      bool
	indicators []*indicator
}

func (w *watch) verdict(time.Time) event.Verdict { return event.Verdict{} }
func (w *watch) recovery() Recovery              { return Recovery{} }

// Watch opens the watch of a deployment, or tells an open one more of it.
func (e *Engine) Watch(d event.Deployment, mode event.Mode) {}

// Tick closes the seconds up to now − AllowedLateness, and returns the verdicts
// that changed materially or are due, in order of their watches' opening.
func (e *Engine) Tick(now time.Time) []event.Verdict { return nil }

// Snapshot encodes histories and watches; Restore takes them back into a new engine.
func (e *Engine) Snapshot() ([]byte, error)     { return nil, nil }
func (e *Engine) Restore(snapshot []byte) error { return nil }
