// Package waiver holds the one rule of closing an alert on purpose, whichever
// way a person says it: the console, the command line or a reply on the forge.
package waiver

import (
	"errors"
	"fmt"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// Limit is how far ahead a waiver may reach.
const Limit = 90 * 24 * time.Hour

// reasonLimit and byLimit are in bytes.
const reasonLimit, byLimit = 1000, 200

// Closure checks a waiver; its error says what to write instead, after a colon.
// until is a day, which counts to its end, or an RFC 3339 time.
func Closure(until, reason, by string, now time.Time) (event.Closure, error) {
	end, err := time.Parse(time.RFC3339, until)
	if err != nil {
		if end, err = time.Parse(time.DateOnly, until); err != nil {
			return event.Closure{}, fmt.Errorf("until %q is no date: write it like %s", until, now.AddDate(0, 0, 7).Format(time.DateOnly))
		}
		end = end.AddDate(0, 0, 1).Add(-time.Second)
	}
	detail, name := wording.OneLine(reason, reasonLimit), wording.OneLine(by, byLimit)
	switch {
	case !end.After(now):
		return event.Closure{}, fmt.Errorf("until %s is past: name a later day", until)
	case end.After(now.Add(Limit)):
		return event.Closure{}, fmt.Errorf("until %s is more than %d days ahead: waive it for shorter, or mend it", until, int(Limit.Hours()/24))
	case detail == "":
		return event.Closure{}, errors.New("a waiver needs a reason: say why this is accepted, for who reads it later")
	case len(reason) > reasonLimit || len(by) > byLimit:
		return event.Closure{}, fmt.Errorf("the reason may have %d characters and the name %d: shorten them", reasonLimit, byLimit)
	}
	return event.Closure{Reason: event.ClosedWaived, Detail: detail, By: name, Until: end, At: now}, nil
}
