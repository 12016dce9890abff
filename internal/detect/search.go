package detect

import (
	"math"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// silent says whether nothing was heard of the service lately.
func (s *service) silent(sec int64) bool { return sec-s.lastActive.Load() >= placeboSilent }

// searchState says how the always-on channel stands with the service; room says
// whether one more watch may be opened.
func (s *service) searchState(sec int64, room bool) event.SearchState {
	switch w := s.always; {
	case w != nil && w.young:
		return event.SearchLearning
	case w != nil:
		return event.SearchOn
	case !s.unwatched():
		return event.SearchDeployment
	case s.silent(sec):
		return event.SearchSilent
	case !s.listened(sec):
		return event.SearchLearning
	case !room:
		return event.SearchLeftOut
	}
	return event.SearchOn // from the next look on
}

// Searches tells how the always-on channel stands with each service, by name.
func (e *Engine) Searches() []event.Search {
	e.work.Lock()
	defer e.work.Unlock()
	services := e.list()
	slices.SortFunc(services, byKey)
	out := make([]event.Search, 0, len(services))
	for _, s := range services {
		if s.key.name == overflowService {
			continue // they are counted, and have no names
		}
		x := event.Search{Service: s.key.name, Environment: s.key.environment, State: s.search, Items: s.history.Requests + s.history.Lines, Needed: enoughControl}
		if x.State == "" {
			x.State = event.SearchLearning // since the last look
		}
		if e.cfg.AlwaysOn.Indicators < 0 {
			x.State = event.SearchOff
		}
		if x.State == event.SearchLearning {
			x.Hard = s.always != nil
			x.Left = time.Duration(math.Max(placeboBefore-s.history.Seconds, 0)) * time.Second
		}
		out = append(out, x)
	}
	return out
}
