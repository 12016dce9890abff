package judge

import (
	"math"
	"strings"

	"gonum.org/v1/gonum/mathext"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	// maxEpisode is how many failures in a row may be a flake that went away;
	// longer ones were a real breakage that somebody repaired.
	maxEpisode = 2
	// Prior of a test's flake rate: Beta(.5, 50), most tests hardly ever.
	priorFlakes, priorPasses = .5, 50.0
	// unlikely is the probability under its own rate at which a flaky test's
	// streak of failures is no longer put down to flakiness. It is small because
	// every run of every flaky test asks.
	unlikely = 1e-6
)

// sayTest tells what one test's result means against run number at; ok is false
// when there is nothing to say.
func (b *Baseline) sayTest(key string, a *attempt, revision string, at int) (j event.Judgement, ok bool) {
	h := b.Tests[key]
	if h == nil {
		h = &History{}
	}
	j = event.Judgement{Test: a.failure, LastPass: h.LastPass, FirstBad: h.FirstBad, NewFlake: h.Flakes == 0}
	if j.Test == nil {
		suite, name, _ := strings.Cut(key, "\x1f")
		j.Test = &event.TestResult{Suite: suite, Case: name, Status: "pass", Duration: a.duration}
	}
	flaked := h.Flakes
	switch {
	case a.failed() && a.passed(): // it changed its mind on one revision: flaky beyond doubt
		j.Call, j.LastPass, j.FirstBad = event.KnownFlaky, revision, ""
		flaked += a.fails
	case a.failed():
		if j.Streak = h.Streak + 1; j.Streak == 1 {
			j.FirstBad = revision
		}
		j.Call = h.callOf(a, at)
	case a.passed() && h.sameAgain(revision):
		// The same code, run again, passes: so did nobody repair it.
		j.Call, j.LastPass, j.FirstBad = event.KnownFlaky, revision, ""
		flaked += h.Failures
	case a.passed() && h.badAt(at):
		j.Call, j.Streak, j.LastPass = event.Fixed, h.Streak, ""
	default:
		return j, false
	}
	if j.NewFlake = j.NewFlake && j.Call == event.KnownFlaky; flaked > 0 && j.Call != event.Fixed {
		x, y := posterior(flaked, h.Passes)
		j.Rate = x / (x + y)
		j.Interval = [2]float64{mathext.InvRegIncBeta(x, y, .025), mathext.InvRegIncBeta(x, y, .975)}
	}
	return j, true
}

// callOf a failure, and no pass, in one run.
func (h *History) callOf(a *attempt, at int) event.Call {
	switch {
	case h.badAt(at):
		return event.AlreadyFailing
	case h.Flakes > 0 && h.chance(h.Failures+a.fails) > unlikely:
		return event.KnownFlaky
	}
	return event.NewFailure
}

// badAt tells whether it was failing for good in run number at.
func (h *History) badAt(run int) bool {
	return h.BadFrom > 0 && h.BadFrom <= run && (h.Broken || run < h.BadUntil)
}

// sameAgain tells whether the failures so far were all of this revision, and none
// was confirmed by running it again.
func (h *History) sameAgain(revision string) bool {
	return h.Streak > 0 && h.FirstBad == revision && revision != "" && !h.Confirmed
}

// learn takes one run's results in; call is what sayTest called them.
func (h *History) learn(a *attempt, call event.Call, revision string, run int) {
	if !a.failed() && !a.passed() {
		return
	}
	h.Runs++
	if a.failed() && a.passed() {
		h.Flakes += a.fails
		h.end(run)
		return
	}
	if a.passed() {
		if call == event.KnownFlaky {
			h.Broken, h.BadFrom = false, 0 // its failures are flakes
		}
		// A short streak that was not confirmed is taken for a flake, so that a test
		// is called new once, and flaky from then on.
		if !h.Broken || h.Streak <= maxEpisode && !h.Confirmed {
			h.Flakes += h.Failures
		}
		h.end(run)
		h.Passes++
		h.LastPass = revision
		return
	}
	h.Streak++
	h.Failures += a.fails
	h.Confirmed = h.Confirmed || a.fails > 1
	if h.Streak == 1 {
		h.FirstBad = revision
	}
	if call == event.NewFailure {
		h.Broken, h.BadFrom, h.BadUntil = true, run, 0
	}
}

// end ends a streak of failures in run number run.
func (h *History) end(run int) {
	if h.Broken {
		h.BadUntil = run
	}
	h.Streak, h.Failures, h.Broken, h.Confirmed, h.FirstBad = 0, 0, false, false, ""
}

// posterior of the flake rate, Beta(prior + flakes, prior + passes). Of a test
// that flaked the prior's weight is that of one pass: that it can flake is known.
func posterior(flakes, passes int) (a, b float64) {
	weight := priorPasses
	if flakes > 0 {
		weight = 1
	}
	return priorFlakes + float64(flakes), weight + float64(passes)
}

// chance of so many failures in a row under the posterior (beta-binomial).
func (h *History) chance(failures int) float64 {
	a, b := posterior(h.Flakes, h.Passes)
	log := 0.0
	for i := range failures {
		log += math.Log((a + float64(i)) / (a + b + float64(i)))
	}
	return math.Exp(log)
}
