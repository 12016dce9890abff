package consoleextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/deployloop/deployloop/internal/ledger"
)

const (
	// subscriptionBuffer is how many ledger updates may wait for the hub.
	subscriptionBuffer = 1024
	// pendingLimit is how many updates are named to one client at once; more
	// are told as "something changed", which is all that a page needs.
	pendingLimit = 64
	// writeTimeout bounds one write to one client, so that a stalled one is let go.
	writeTimeout = 10 * time.Second
	// reconnectAfter is what a browser is told to wait before it reconnects.
	reconnectAfter = 2 * time.Second
	// coalesce is the least time between two messages to one client: the
	// engine can record many verdicts at once, a reader cannot read them.
	coalesce = 200 * time.Millisecond
)

// hub spreads ledger updates to the open pages. One subscription serves all
// clients; each client holds one bounded set of what it has not been told.
type hub struct {
	limit int
	done  chan struct{}
	once  sync.Once

	recall recall

	mu      sync.Mutex
	clients map[*client]struct{}
	refused int64
	missed  int64
}

// client is one open stream.
type client struct {
	wake chan struct{} // capacity 1: set while pending is not empty

	mu      sync.Mutex
	pending map[told]struct{}
	more    bool
}

// told names one thing that changed.
type told struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// message is the data of one update event.
type message struct {
	Updates []told `json:"updates"`
	More    bool   `json:"more,omitempty"` // more changed than is named
}

// hubStats are figures for the status and the metrics.
type hubStats struct {
	Open    int   `json:"open"`
	Limit   int   `json:"limit"`
	Refused int64 `json:"refused"`
	Missed  int64 `json:"missed_updates"`
}

func newHub(limit int) *hub {
	return &hub{limit: limit, done: make(chan struct{}), clients: map[*client]struct{}{}}
}

// run spreads updates until the hub or the subscription closes.
func (h *hub) run(updates <-chan ledger.Update) {
	h.recall.live.Store(true)
	defer h.recall.live.Store(false)
	for {
		select {
		case <-h.done:
			return
		case u, ok := <-updates:
			if !ok {
				return
			}
			h.broadcast(u)
		}
	}
}

func (h *hub) broadcast(u ledger.Update) {
	h.recall.forget(u)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed += int64(u.Missed)
	for c := range h.clients {
		c.add(told{u.Kind, u.ID}, u.Missed > 0)
	}
}

// join adds a client; false when the limit is reached or the hub closed.
func (h *hub) join() (*client, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.done:
		return nil, false
	default:
	}
	if len(h.clients) >= h.limit {
		h.refused++
		return nil, false
	}
	c := &client{wake: make(chan struct{}, 1), pending: map[told]struct{}{}}
	h.clients[c] = struct{}{}
	return c, true
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

func (h *hub) close() { h.once.Do(func() { close(h.done) }) }

func (h *hub) stats() hubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return hubStats{Open: len(h.clients), Limit: h.limit, Refused: h.refused, Missed: h.missed}
}

func (c *client) add(t told, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) < pendingLimit {
		c.pending[t] = struct{}{}
	} else if _, known := c.pending[t]; !known {
		more = true
	}
	c.more = c.more || more
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take empties what is pending.
func (c *client) take() message {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := message{Updates: make([]told, 0, len(c.pending)), More: c.more}
	for t := range c.pending {
		m.Updates = append(m.Updates, t)
	}
	clear(c.pending)
	c.more = false
	return m
}

// live streams updates to one page till it, the hub or the heartbeat's write fails.
// A page re-renders on "update"; the comments in between only keep it open.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	c, ok := s.hub.join()
	if !ok {
		w.Header().Set("Retry-After", "10")
		s.apiError(w, r, http.StatusServiceUnavailable,
			fmt.Sprintf("%d live pages are open already", s.hub.limit),
			"close one, or raise max_live_clients of the console; this page polls until then")
		return
	}
	defer s.hub.leave(c)

	control := http.NewResponseController(w)
	write := func(format string, args ...any) bool {
		// The server's own write timeout is for ordinary answers.
		if control.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return false
		}
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && control.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the stream back
	if !write("retry: %d\nevent: hello\ndata: {}\n\n", reconnectAfter.Milliseconds()) {
		return
	}

	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-s.hub.done:
			return
		case <-heartbeat.C:
			if !write(": still here\n\n") {
				return
			}
		case <-c.wake:
			data, err := json.Marshal(c.take())
			if err != nil || !write("event: update\ndata: %s\n\n", data) {
				return
			}
			// What arrives in the meantime goes out together.
			select {
			case <-time.After(coalesce):
			case <-r.Context().Done():
				return
			case <-s.hub.done:
				return
			}
		}
	}
}
