package wording

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestCalibrationInWords(t *testing.T) {
	require.Empty(t, Calibration(event.Calibration{}))
	require.Empty(t, FalseAlarms(event.PlaceboCount{}))
	said := map[string]bool{}
	for _, source := range []event.CalibrationSource{event.CalibrationOwn, event.CalibrationPooled, event.CalibrationTail, event.CalibrationProvisional} {
		text := Calibration(event.Calibration{Source: source, Windows: 1234, Raised: .693147})
		require.Contains(t, text, "0.693 nats")
		if source != event.CalibrationProvisional {
			require.Contains(t, text, "1,234 windows")
		}
		said[text] = true
	}
	require.Len(t, said, 4)
	require.Equal(t, "2 of 1,234 windows in which nothing was deployed would have been called regressed: 1.6 in 1000, 95 % between 0.44 and 5.9.",
		FalseAlarms(event.PlaceboCount{Windows: 1234, FalseAlarms: 2, Rate: 2. / 1234, Interval: [2]float64{.000444, .00589}}))
	require.Equal(t, "0 of 2 windows in which nothing was deployed would have been called regressed: 0 in 1000, 95 % between 0 and 658.",
		FalseAlarms(event.PlaceboCount{Windows: 2, Interval: [2]float64{0, .6576}}))
}
