package ledger

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// The last word of each detector stands; there is room for so many.
func TestDetectionsAreTheLastOfEachDetector(t *testing.T) {
	l := New(Limits{Places: 2})
	require.Empty(t, l.Detections())
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	told := []event.Search{{Service: "cart", State: event.SearchLearning}, {Service: "pay"}, {Service: "web"}}
	l.RecordDetection(Detection{By: "anomaly/b", At: at, Searches: told})
	l.RecordDetection(Detection{By: "anomaly/a", At: at})
	l.RecordDetection(Detection{By: "anomaly/b", At: at.Add(time.Second), Placebos: event.PlaceboCount{Windows: 7}, Searches: told})
	told[0].State = event.SearchOn
	list := l.Detections()
	require.Len(t, list, 2)
	require.Equal(t, []string{"anomaly/a", "anomaly/b"}, []string{list[0].By, list[1].By})
	require.Equal(t, uint64(7), list[1].Placebos.Windows)
	require.Len(t, list[1].Searches, 2, "no more than there are places")
	require.Equal(t, event.SearchLearning, list[1].Searches[0].State, "what is told is copied")
	for i := range 2 * maxDetectors {
		l.RecordDetection(Detection{By: strconv.Itoa(i), At: at})
	}
	require.Len(t, l.Detections(), maxDetectors)
	require.Equal(t, uint64(maxDetectors+2), l.dropped["detectors"])
}
