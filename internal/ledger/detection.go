package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Detection is how a detector stands, as it told last. It is not kept over a
// restart: the detector tells it anew.
type Detection struct {
	By       string // the detector's component id
	At       time.Time
	Placebos event.PlaceboCount
	Searches []event.Search // by service and environment
}

// maxDetectors bounds the detectors that one ledger hears of; those over it are
// counted.
const maxDetectors = 16

// RecordDetection keeps the last of each detector.
func (l *Ledger) RecordDetection(d Detection) {
	d.Searches = slices.Clone(d.Searches[:min(len(d.Searches), l.limits.Places)])
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.detections, func(x Detection) bool { return x.By == d.By })
	switch {
	case i >= 0:
		l.detections[i] = d
	case len(l.detections) >= maxDetectors:
		l.dropped["detectors"]++
	default:
		l.detections = append(l.detections, d)
	}
}

// Detections lists what detectors told, by their names. What they list must not
// be changed.
func (l *Ledger) Detections() []Detection {
	l.mu.RLock()
	out := slices.Clone(l.detections)
	l.mu.RUnlock()
	slices.SortFunc(out, func(a, b Detection) int { return cmp.Compare(a.By, b.By) })
	return out
}
