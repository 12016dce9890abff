package detect

import (
	"math"
	"slices"
	"time"
)

// The profile of the week: what a service serves in each hour of it, as the
// Huber mean of up to eight weeks. Traffic that is compared with the ten minutes
// before a deployment is compared with less where the week says that less is
// usual by now; never with more, for a day that begins late is no harm.

const (
	weekHours    = 168
	profileWeeks = 8
	profileReady = 3    // weeks of an hour, from which it is known
	profileHour  = 1800 // seconds of an hour that must have been seen
	profileLeast = .01  // of the pace before, at least, is expected
	huberK       = 1.345
	huberRounds  = 8
	madSigma     = 1.4826 // standard deviations of normal values in a MAD
)

// profile holds the mean successes a second of each hour of the week, UTC, by
// week; the newest take the place of the oldest.
type profile struct {
	Hours   [weekHours]hourOfWeek
	Hour    int64 // since the epoch, of what is being gathered
	Sum     float64
	Seconds int32
}

type hourOfWeek struct {
	Rates [profileWeeks]float32
	N, At uint8
}

// add counts one second's successes.
func (p *profile) add(sec int64, served float64) {
	if hour := sec / 3600; hour != p.Hour {
		if p.Seconds >= profileHour {
			h := &p.Hours[p.Hour%weekHours]
			h.Rates[h.At] = float32(p.Sum / float64(p.Seconds))
			h.At = (h.At + 1) % profileWeeks
			h.N = min(h.N+1, profileWeeks)
		}
		p.Hour, p.Sum, p.Seconds = hour, 0, 0
	}
	p.Sum += served
	p.Seconds++
}

// usual is the Huber mean of an hour's weeks and the standard deviation that
// their MAD tells.
func (h *hourOfWeek) usual() (mean, sigma float64, ready bool) {
	if h.N < profileReady {
		return 0, 0, false
	}
	var values, off [profileWeeks]float64
	list, far := values[:h.N], off[:h.N]
	for k := range list {
		list[k] = float64(h.Rates[k])
	}
	slices.Sort(list)
	mean = median(list)
	for k, v := range list {
		far[k] = math.Abs(v - mean)
	}
	slices.Sort(far)
	sigma = madSigma * median(far)
	if sigma == 0 {
		return mean, 0, true
	}
	for range huberRounds {
		step := 0.
		for _, v := range list {
			step += math.Max(-huberK*sigma, math.Min(v-mean, huberK*sigma))
		}
		mean += step / float64(len(list))
	}
	return mean, sigma, true
}

// at is what is usual at a second: between the middles of hours in proportion,
// and no more than in the hour itself, for some fall at its stroke.
func (p *profile) at(sec int64) (mean, sigma float64, ready bool) {
	own, s, ok := p.Hours[sec/3600%weekHours].usual()
	if !ok {
		return 0, 0, false
	}
	middle := sec - 1800
	a, _, okA := p.Hours[middle/3600%weekHours].usual()
	b, _, okB := p.Hours[(middle/3600+1)%weekHours].usual()
	if !okA || !okB {
		return 0, 0, false
	}
	part := float64(middle%3600) / 3600
	return math.Min(own, a+(b-a)*part), s, true
}

// pace is what share of the traffic of before is expected at a second, by the
// week: 1 where it is not known, or where more is.
func (p *profile) pace(before, now int64) (share float64, known bool) {
	if p == nil {
		return 1, false
	}
	was, _, ok := p.at(before)
	is, sigma, okNow := p.at(now)
	if !ok || !okNow || was <= 0 {
		return 1, false
	}
	return math.Min(math.Max((is-sigma)/was, profileLeast), 1), true
}

// ready says whether the week around a second is known.
func (p *profile) ready(sec int64) bool {
	if p == nil {
		return false
	}
	_, _, ok := p.at(sec)
	return ok
}

// finite says whether all its numbers are.
func (p *profile) finite() bool {
	sum := p.Sum
	for k := range p.Hours {
		h := &p.Hours[k]
		if h.N > profileWeeks || h.At >= profileWeeks {
			return false
		}
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
