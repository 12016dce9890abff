package ledger

import "time"

// subscriber is one listener; its fields are guarded by Ledger.mu.
type subscriber struct {
	updates chan Update
	missed  int
}

// Subscribe is told of every recorded update, in order. A subscriber whose
// buffer is full misses updates; the next one that it gets says how many.
// After cancel the channel is closed. Beyond the limit of subscribers the
// channel comes closed.
func (l *Ledger) Subscribe(buffer int) (<-chan Update, func()) {
	s := &subscriber{updates: make(chan Update, min(max(buffer, 1), 10_000))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.subscribers) >= l.limits.Subscribers {
		l.dropped["subscribers"]++
		close(s.updates)
		return s.updates, func() {}
	}
	l.subscribers[s] = struct{}{}
	return s.updates, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, open := l.subscribers[s]; open {
			delete(l.subscribers, s)
			close(s.updates)
		}
	}
}

// tell sends an update to all subscribers and waits for none.
func (l *Ledger) tell(kind, id string, at time.Time) {
	for s := range l.subscribers {
		select {
		case s.updates <- Update{Kind: kind, ID: id, At: at, Missed: s.missed}:
			s.missed = 0
		default:
			s.missed++
		}
	}
}
