package wording

import (
	"fmt"

	"github.com/deployloop/deployloop/internal/event"
)

// Calibration says what a threshold rests on; "" of a verdict that does not tell.
func Calibration(c event.Calibration) string {
	windows := Count(float64(c.Windows))
	text := ""
	switch c.Source {
	case event.CalibrationOwn:
		text = "The mark comes from " + windows + " windows of this service in which nothing was deployed."
	case event.CalibrationPooled:
		text = "The mark comes from " + windows + " windows in which nothing was deployed, of all services, by what is usual at this one."
	case event.CalibrationTail:
		text = "The mark comes from " + windows + " windows in which nothing was deployed, of all services, by what is usual at this one; they are few, so their tail is extrapolated."
	case event.CalibrationProvisional:
		text = "The mark is provisional while deployloop learns how much this service varies on its own."
	default:
		return ""
	}
	if c.Raised > 0 {
		text += fmt.Sprintf(" It is raised by %s nats, since there were more false alarms than the budget allows.", Value(c.Raised, ""))
	}
	return text
}

// FalseAlarms says how often windows without a deployment would have been
// called regressed; "" before the first ended.
func FalseAlarms(p event.PlaceboCount) string {
	if p.Windows == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s windows in which nothing was deployed would have been called regressed: %s in 1000, 95 %% between %s and %s.",
		Count(float64(p.FalseAlarms)), Count(float64(p.Windows)), significant(1000*p.Rate, 2), significant(1000*p.Interval[0], 2), significant(1000*p.Interval[1], 2))
}
