package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A name beyond what is kept of one is found again by what is kept.
func TestLongNamesAreFoundAgain(t *testing.T) {
	s := newSim(1, Config{})
	source := s.pod("1", 0, 0, 0).source
	long := strings.Repeat("GET /carts/é", 60)
	for range 300 {
		at := s.sec*second + second/2
		source.Request(Request{Operation: long, End: at, Duration: 1e6}, nil)
		source.Gauge(Sample{Name: "queue.depth", Series: long, At: at, Value: 1})
		s.tick()
	}
	require.Equal(t, 1, s.e.Status().Operations)
	require.Len(t, s.e.order[0].gauges.order, 1)
	require.Empty(t, s.e.Status().Losses)
}
