package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// parseEvents reads deployloop's own lines: {"test": …}, {"finding": …},
// {"run": …} or {"report": …} each, with the JSON of package event.
func parseEvents(p *parse) error {
	number, bad := 0, 0
	err := lines(p.in, func(line []byte) error {
		number++
		if len(line) == 0 {
			return nil
		}
		var i Event
		if err := json.Unmarshal(line, &i); err != nil {
			bad++
			return nil
		}
		switch {
		case i.Test != nil && i.Test.Case != "" && slices.Contains([]string{pass, fail, skip, erred}, i.Test.Status):
			return p.test(*i.Test)
		case i.Finding != nil && i.Finding.Rule != "":
			return p.finding(*i.Finding)
		case i.Run != nil && i.Run.ID != "" && slices.Contains([]string{"pending", "executing", "finalizing", "finished"}, i.Run.State):
			p.sum.Runs++
			return p.emit(Item{Run: i.Run})
		case i.Report != nil && i.Report.Kind != "":
			return p.emit(Item{Report: i.Report})
		}
		bad++
		return nil
	})
	if err == nil && bad == number {
		return fmt.Errorf("none of its %d lines is an event", number)
	}
	if bad > 0 {
		p.problem("%d of %d lines are no events and were left out", bad, number)
	}
	return err
}

// Event is one line of the kind Events.
type Event struct {
	Test    *event.TestResult  `json:"test,omitempty"`
	Finding *event.Finding     `json:"finding,omitempty"`
	Run     *event.PipelineRun `json:"run,omitempty"`
	Report  *event.Report      `json:"report,omitempty"` // what the events of a run are together
}
