package main

import (
	"fmt"
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

// eta is one that was told, and what came of it.
type eta struct {
	told, took float64 // seconds; took +Inf: not decided in the watch, which was longer than twice what was told
	state      event.VerdictState
	harm       bool    // there was more than a nat of evidence of harm
	left       float64 // nats of it that were missing
}

// toldETAs follows a deployment's ETAs till it is decided.
type toldETAs struct {
	list    []eta
	at      []int64
	last    int64
	decided bool
}

func (t *toldETAs) follow(v event.Verdict, sec int64) {
	if t.decided {
		return
	}
	if v.ETA > 0 && v.At.Unix() != t.last {
		t.last = v.At.Unix()
		t.list = append(t.list, eta{told: v.ETA.Seconds(), harm: v.Nats > 1, left: v.Threshold - v.Nats})
		t.at = append(t.at, t.last)
	}
	if v.State != event.Regressed && v.State != event.Healthy {
		return
	}
	t.decided = true
	for i := range t.list {
		t.list[i].took, t.list[i].state = float64(sec-t.at[i]), v.State
	}
}

// judged are those of which is known whether they were right. sec is when the
// watch ended.
func (t *toldETAs) judged(sec int64) []eta {
	if t.decided {
		return t.list
	}
	var out []eta
	for i, e := range t.list {
		if float64(sec-t.at[i]) > 2*e.told {
			e.took = math.Inf(1)
			out = append(out, e)
		}
	}
	return out
}

// honesty counts the ETAs that were right within a factor of two.
type honesty struct{ n, right, late, soon int }

func (h *honesty) add(e eta) {
	h.n++
	switch {
	case e.took > 2*e.told:
		h.late++
	case e.took < e.told/2:
		h.soon++
	default:
		h.right++
	}
}

func (h honesty) share() float64 { return share(h.right, h.n) }

func etaHonesty(list []eta) (h honesty) {
	for _, e := range list {
		h.add(e)
	}
	return h
}

// passage is the probability that a log likelihood ratio passes a nats within x
// times the mean time, and is an inverse Gaussian's: its variance is twice its
// drift.
func passage(nats, x float64) float64 {
	phi := func(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }
	r := math.Sqrt(nats / 2 / x)
	return phi(r*(x-1)) + math.Exp(math.Min(nats, 700))*phi(-r*(x+1))
}

// etaCeiling is the largest share of ETAs that can be right within a factor of
// two with so many nats left, of whoever knows the drift.
func etaCeiling(nats float64) (best float64) {
	for c := .02; c <= 1.2; c += .02 {
		best = math.Max(best, passage(nats, 2*c)-passage(nats, c/2))
	}
	return best
}

func reportETAs(p func(string, ...any), list []eta) {
	kinds := []struct {
		name string
		of   func(e eta) bool
	}{
		{"of harm (more than a nat), and it was called", func(e eta) bool { return e.harm && e.state == event.Regressed }},
		{"of *healthy*, and it was", func(e eta) bool { return !e.harm && e.state == event.Healthy }},
		{"of *healthy*, but it was called regressed", func(e eta) bool { return !e.harm && e.state == event.Regressed }},
		{"of harm, but it was healthy", func(e eta) bool { return e.harm && e.state == event.Healthy }},
		{"not decided within twice as long", func(e eta) bool { return e.state == "" }},
		{"all", func(eta) bool { return true }},
	}
	p("### ETA honesty")
	p("")
	p("ETAs of the suite's deployments, right when the decision came within half to twice the time told. A log likelihood ratio's first passage over the nats that are left varies by itself: the ceiling is the share that whoever knows the drift could get right (the inverse Gaussian's, over what was left; %.0f %% with one nat left, %.0f %% with 3, which is all that *healthy* asks for, %.0f %% with 7). The rest is the drift, which is not known but estimated.", 100*etaCeiling(1), 100*etaCeiling(3), 100*etaCeiling(7))
	p("")
	p("| told | n | right | later | sooner | ceiling |")
	p("|---|---|---|---|---|---|")
	for _, k := range kinds {
		var h honesty
		ceiling, harms := 0., 0
		for _, e := range list {
			if !k.of(e) {
				continue
			}
			h.add(e)
			if e.harm {
				harms++
				ceiling += etaCeiling(math.Max(e.left, .1))
			}
		}
		if h.n == 0 {
			continue
		}
		told := "–"
		if harms == h.n && h.right > 0 {
			told = fmt.Sprintf("%.0f %%", 100*ceiling/float64(harms))
		}
		p("| %s | %d | %.0f %% | %d | %d | %s |", k.name, h.n, 100*h.share(), h.late, h.soon, told)
	}
	p("")
}
