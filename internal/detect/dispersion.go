package detect

import (
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// Dispersion is what φ, the over-dispersion of a level's counts, is reckoned
// from, beside the counts of a window and its length. It is part of the
// document, so that φ and the bounds of the past rate can be derived anew.
type Dispersion struct {
	Noise        float64  `json:"noise"`  // σ of the rate, which fades with the window
	Drift        float64  `json:"drift"`  // σ between then and now, against history
	Spread       float64  `json:"spread"` // σ between instances
	NewInstances float64  `json:"new_instances"`
	OldInstances float64  `json:"old_instances"`            // serving beside the new ones
	Instances    float64  `json:"history_instances"`        // in history
	Past         *spread  `json:"history_spread,omitempty"` // relative variance of the past rate over 1, 2, 4 … 512 s
	Seconds      float64  `json:"history_seconds"`
	Margin       float64  `json:"margin"`             // m that noise need not reach beyond, of shares that vanish; 0: does not count
	FirstEver    bool     `json:"first_ever"`         // only weights matter
	Clusters     *cluster `json:"clusters,omitempty"` // of a gauge: nothing else matters

	base      event.Count // of the control's past
	instanced bool        // instances differ: in the test of harm, not in tolerances
}

// cluster says how samples of one instance hang together.
type cluster struct {
	Correlation float64 `json:"correlation"`   // of samples of one instance
	Pods        float64 `json:"new_instances"` // that sent samples
	// Ranks of the past's samples, which the correlation follows from.
	Ranks *rankSums `json:"ranks,omitempty"`
}

// dispersion is what φ of a level is reckoned from.
func (i *indicator) dispersion(w *watch, l *level, instances bool) Dispersion {
	d := Dispersion{Noise: i.noise(), Drift: i.drift(), Spread: float64(l.persist), NewInstances: w.newSources, OldInstances: w.oldSources,
		Instances: float64(w.base.Sources), Past: l.opt().past, FirstEver: i.firstEver, instanced: instances, base: l.base}
	if i.signal() == event.SignalThroughput && (i.op >= 0 || i.pattern >= 0) {
		d.Margin = float64(l.margin)
	}
	return d
}

// extent is the length of a window, in seconds: by the clock, which history's
// curve goes by, for it was learnt over blocks of time, and those over which the
// prior noise averaged out. It is forgotten between two bursts of traffic, but
// what is not there averages nothing.
type extent struct{ clock, noise float64 }

func (x extent) times(k float64) extent { return extent{x.clock * k, x.noise * k} }

// span is the extent of so many tests of a level after a second.
func (w *watch) span(from, sec int64, ticks int32) extent {
	return w.extent(w.stretches, from, sec, ticks)
}

// extent is that of so many tests of what had requests in these stretches.
func (w *watch) extent(heard stretches, from, sec int64, ticks int32) extent {
	clock, noise := float64(sec-from), w.seconds(ticks)
	if noise < clock {
		noise = math.Max(noise, float64(heard.within(from, sec)))
	}
	return extent{clock, math.Min(noise, clock)}
}

// since is the extent of a process since an onset. The service's traffic is
// counted by the second, be there any or none.
func (i *indicator) since(w *watch, p *process, t *tracker, sec int64) extent {
	out := w.span(p.last(t), sec, p.ticks-t.tick+1)
	if i == w.traffic {
		out.noise = out.clock
	}
	return out
}

// stretches are the begins of the last ones of 2·noiseMemory with requests.
type stretches []int64

// spoke notes that there were requests.
func (s *stretches) spoke(sec int64) {
	if n := len(*s); n > 0 && sec < (*s)[n-1]+2*noiseMemory {
		return
	}
	if len(*s) == maxStretches {
		*s = slices.Delete(*s, 0, 1)
	}
	*s = append(*s, sec)
}

// within is how many seconds of a time (after its first, up to its last) are in stretches.
func (s stretches) within(from, sec int64) int64 {
	part := func(at int64) int64 { return max(min(at+2*noiseMemory, sec+1)-max(at, from+1), 0) }
	first, _ := slices.BinarySearch(s, from+2-2*noiseMemory)
	switch n := int64(len(s) - first); n {
	case 0:
		return 0
	case 1:
		return part(s[first])
	default: // all between are whole
		return part(s[first]) + (n-2)*2*noiseMemory + part(s[len(s)-1])
	}
}

// maxStretches is of how many such stretches a watch knows when they began. Of more bursts than that, no more are told apart.
const maxStretches = 64

// phi is the Pearson ratio of the new cohort's count in a window of such a
// length, given the control, when rates are noisy. Noise fades with the window's
// length, differences between instances do not. Beside a concurrent control the
// noise is a prior; history shows its own, bursts and drift and all, which then
// holds for what was expected from history.
func (d *Dispersion) phi(c counts, long extent) float64 {
	design := math.Max(1, c.heavy)
	if d.FirstEver {
		return design
	}
	if d.Clusters != nil {
		perPod := c.wc / math.Max(d.Clusters.Pods, 1)
		return 1 + math.Max(perPod-1, 0)*d.Clusters.Correlation
	}
	paired := 0.
	if p := c.wc - c.wh; c.ws > 0 && p > 0 {
		paired = (c.xs + 1) / c.ws * p * c.ws / (c.ws + p)
	}
	lasting := 0.
	if d.instanced {
		old := d.Instances
		if c.ws > 0 {
			old = d.OldInstances
		}
		lasting = d.Spread * d.Spread * (1/math.Max(d.NewInstances, 1) + 1/math.Max(old, 1))
		if c.wh > 0 {
			lasting += d.Drift * d.Drift
		}
	}
	v := d.beyondMargin(d.Noise*d.Noise*fade(long.noise) + lasting)
	phi := design * (1 + (paired+c.eh)*v)
	if c.eh > 0 {
		// Sampled events come in clumps of their weight: history shows that too.
		// The noise is that of history's rate; the bound on the rate is apart.
		past := d.beyondMargin(d.Past.at(long.clock) + lasting)
		phi = math.Max(phi, 1+paired*v+math.Max(c.eh*v, c.wh*d.base.Events/d.base.Exposure*past))
	}
	return phi
}

// marginSigmas is how many standard deviations of noise a margin holds.
const marginSigmas = 5

// beyondMargin is what is left of a relative variance when the margin took its
// part. It does for shares of the requests that must fall to a third: noise
// that could not bring them near needs no further allowance.
func (d *Dispersion) beyondMargin(v float64) float64 {
	if d.Margin == 0 {
		return v
	}
	s := math.Max(math.Sqrt(v)-math.Log(d.Margin)/marginSigmas, 0)
	return s * s
}

// bounds are those of a past rate at α/2, from so noisy a history.
func bounds(base event.Count, phi, alpha float64) (lower, upper float64) {
	return lowerRate(base.Events, base.Exposure, phi, alpha/2), upperRate(base.Events, base.Exposure, phi, alpha/2)
}

// pastPhi is the over-dispersion of the history's count.
func pastPhi(events, noise, seconds float64, past *spread) float64 {
	return 1 + events*math.Max(noise*noise*fade(seconds), past.at(seconds))
}
