package detect

import (
	"math"
	"slices"
	"time"
)

// The profile of the week: what a service served in each hour of the last eight
// weeks. Traffic that is compared with the ten minutes before a deployment is
// compared with less where the weeks say that less is usual by now: each by its
// own level, for they differ more than the course of a day does. Never with
// more, for a day that begins late is no harm.

const (
	weekHours    = 168
	profileWeeks = 8
	profileReady = 3      // weeks of an hour, from which it is known
	profileHour  = 1800   // seconds of an hour that must have been seen
	profileLeast = .01    // of the pace before, at least, is expected
	madSigma     = 1.4826 // standard deviations of normal values in a MAD
)

// profile holds the mean successes a second of each hour of the week, UTC, by week.
type profile struct {
	Hours   [weekHours]hourOfWeek
	Hour    int64 // since the epoch, of what is being gathered
	Sum     float64
	Seconds int32
}

type hourOfWeek struct {
	Rates [profileWeeks]float32 // by week since the epoch, modulo their number
	Week  uint16                // since the epoch, the newest
	Known uint8                 // bit by bit: which of Rates are
}

// add counts one second's successes.
func (p *profile) add(sec int64, served float64) {
	if hour := sec / 3600; hour != p.Hour {
		if p.Seconds >= profileHour {
			p.Hours[p.Hour%weekHours].add(p.Hour/weekHours, p.Sum/float64(p.Seconds))
		}
		p.Hour, p.Sum, p.Seconds = hour, 0, 0
	}
	p.Sum += served
	p.Seconds++
}

// add keeps the rate of a week, and forgets those of eight weeks before.
func (h *hourOfWeek) add(week int64, rate float64) {
	for w := max(int64(h.Week)+1, week-profileWeeks+1); w <= week; w++ {
		h.Known &^= 1 << (w % profileWeeks)
	}
	h.Week = uint16(max(week, int64(h.Week)))
	h.Rates[week%profileWeeks] = float32(rate)
	h.Known |= 1 << (week % profileWeeks)
}

// rate is that of an hour since the epoch.
func (p *profile) rate(hour int64) (rate float64, known bool) {
	h, week := &p.Hours[hour%weekHours], hour/weekHours
	if age := int64(h.Week) - week; age < 0 || age >= profileWeeks {
		return 0, false
	}
	return float64(h.Rates[week%profileWeeks]), h.Known>>(week%profileWeeks)&1 == 1
}

// at is what was served at a second: between the middles of hours in
// proportion, and no more than in the hour itself, for some fall at its stroke.
func (p *profile) at(sec int64) (rate float64, known bool) {
	middle := sec - 1800
	if middle < 0 {
		return 0, false
	}
	own, ok := p.rate(sec / 3600)
	a, okA := p.rate(middle / 3600)
	b, okB := p.rate(middle/3600 + 1)
	part := float64(middle%3600) / 3600
	return math.Min(own, a+(b-a)*part), ok && okA && okB
}

// pace is what share of the traffic of before is expected at a second: the
// median of what it was in each week, less a standard deviation by their MAD. 1
// where it is not known, or where more is expected.
func (p *profile) pace(before, now int64) (share float64, known bool) {
	if p == nil {
		return 1, false
	}
	var shares, off [profileWeeks]float64
	n := 0
	for week := range int64(profileWeeks) {
		ago := (week + 1) * weekHours * 3600
		was, ok := p.at(before - ago)
		is, okNow := p.at(now - ago)
		if ok && okNow && was > 0 {
			shares[n] = is / was
			n++
		}
	}
	if n < profileReady {
		return 1, false
	}
	slices.Sort(shares[:n])
	usual := median(shares[:n])
	for k, s := range shares[:n] {
		off[k] = math.Abs(s - usual)
	}
	slices.Sort(off[:n])
	return math.Min(math.Max(usual-madSigma*median(off[:n]), profileLeast), 1), true
}

// ready says whether the weeks around a second are known.
func (p *profile) ready(sec int64) bool {
	_, known := p.pace(sec, sec)
	return known
}

// finite says whether all its numbers are.
func (p *profile) finite() bool {
	sum := p.Sum
	for k := range p.Hours {
		h := &p.Hours[k]
		for _, v := range h.Rates {
			sum += float64(v)
		}
	}
	return finite(sum) && p.Hour >= 0 && p.Seconds >= 0
}

// learnWeek counts a second of the service in its profile, unless what it does
// is known to be harm.
func (s *service) learnWeek(sec int64, served float64) {
	if sec < 0 || s.always != nil && s.always.regressedAt != 0 || slices.ContainsFunc(s.watches, (*watch).bad) {
		return
	}
	if s.week == nil {
		if served == 0 {
			return
		}
		s.week = &profile{Hour: sec / 3600}
	}
	s.week.add(sec, served)
}

// weekText says that the profile of the week is in use; "" when it is not.
func (w *watch) weekText() string {
	if w.traffic == nil || !w.service.week.ready(w.opened) {
		return ""
	}
	text := "; traffic by what is usual at this hour of the week"
	if w.usual > 0 && w.usual < .995 {
		text += " (" + percent(w.usual) + " of " + time.Unix(w.opened, 0).UTC().Format("15:04Z") + ")"
	}
	return text
}
