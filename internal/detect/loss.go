package detect

import (
	"sort"
	"sync"

	"github.com/deployloop/deployloop/internal/event"
)

// Losses are telemetry that was not used as it came, by name. Those below
// lostNames mean a lost item; the others say that an item counted otherwise
// than it came (in a later second, under another name, without its duration).
const (
	lossLate = iota
	lossClockAhead
	lossWeight
	lossSources
	lossServices
	lossLateCounted
	lossWeightCapped
	lossDuration
	lossOperations
	lossPatterns
	lossMemoryTail
	lossMemoryTemplates
	lossMemoryNames
	lossCount

	lostItems = lossLateCounted // names below this are items lost
)

var lossNames = [lossCount]string{
	"late", "clock_ahead", "invalid_weight", "sources_over_limit", "services_over_limit",
	"late_counted", "weight_capped", "invalid_duration", "other_operations", "other_patterns",
	"memory_new_inner_work_and_quiet_lines", "memory_new_log_templates", "memory_new_operations",
}

// maxLossNames bounds the names that Refuse may bring.
const maxLossNames = 32

// losses counts by name; safe for concurrent use.
type losses struct {
	mu    sync.Mutex
	fixed [lossCount]uint64
	named map[string]uint64
}

func (l *losses) add(name string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, known := range lossNames {
		if known == name {
			l.fixed[i] += n
			return
		}
	}
	if l.named == nil {
		l.named = map[string]uint64{}
	}
	if _, ok := l.named[name]; !ok && len(l.named) >= maxLossNames {
		name = "other_losses"
	}
	l.named[name] += n
}

func (l *losses) addFixed(counts *[lossCount]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range counts {
		l.fixed[i] += n
	}
}

// snapshot copies the counts by name.
func (l *losses) snapshot() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]uint64, len(l.named)+lossCount)
	for i, n := range l.fixed {
		if n > 0 {
			out[lossNames[i]] = n
		}
	}
	for name, n := range l.named {
		out[name] = n
	}
	return out
}

// lossList is what came after the earlier snapshot, sorted by name.
func lossList(now, earlier map[string]uint64) []event.Loss {
	var out []event.Loss
	for name, n := range now {
		if n > earlier[name] {
			out = append(out, event.Loss{Name: name, Count: n - earlier[name]})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
