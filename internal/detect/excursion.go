package detect

import (
	"fmt"
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// excursions looks for a gauge that goes where it hardly ever was, and stays,
// while nothing is deployed. It knows nothing of the gauge's law but its past:
//
//   - A sample is worth −ln of its conformal rank among the past (1 on average,
//     whatever the tail), less excursionDrift. Their sum since it was last zero,
//     Page's, is an excursion: G.
//   - Scores are bounded, so where the gauge's memory fades, peaks of excursions
//     have an exponential tail (Cramér, Lundberg), of a rate that depends on the
//     memory, and that the past's greatest peaks show: with m of them above the
//     next, h, and Σ the sum of what they exceed it by, a new one is above G with
//     the chance of (m + 1)/N · (1 + (G − h)/Σ)^−m, which allows for the rate
//     being estimated. N cycles in a time of A are a rate of N/A, so the alarms
//     that G expects by chance are (m + 1)/A · (1 + (G − h)/Σ)^−m a second.
//   - What comes rarely and is known from few times only may be far greater the
//     next time. G has to be excursionTimes = k the greatest so far: if peaks of
//     the rare kind are exponential, the j-th alarms with a chance of
//     j!·Γ(k+1)/Γ(j+k+1), 1/(k − 1) of all that ever come. The first of a kind is news.
//   - A past that drifts says nothing: means over 2, 4 and 8 of its samples, which
//     are evenly spaced over all of it, must vary as those of independent ones do
//     (Lo and MacKinlay's variance ratios, of ranks).
type excursions struct {
	Past            [excursionPast]float32 // every Stride-th sample of all
	N, Stride, Skip int                    // Skip: samples since the last that is in Past
	Began           int64                  // second of the first sample
	Sides           [2]excursion           // above, below

	restless bool       // see settle
	bounds   [2]float64 // beyond which a sample is worse by something
}

// excursion is one side.
type excursion struct {
	G, Peak float64
	Since   int64   // its first second
	Samples int     // in it
	Beyond  int     // of these, worse by something
	Sum     float64 // of their values
	Far     float64 // the farthest in it
	Before  float64 // and of all before it
	Known   bool    // there was one before it
	Cycles  int     // excursions that ended
	Top     [excursionTop + 1]float32
	nats    float64 // −ln of the alarms a second that are expected by chance; 0: nothing to tell
}

const (
	excursionPast   = 128
	excursionTop    = 16
	excursionDrift  = 3.    // a typical sample of an excursion is rarer than one in e³
	excursionExcess = 1.063 // mean excess of peaks of independent samples: 1/θ, −ln(1−θ) = θ·drift
	excursionCycles = 80    // from which their tail is known
	excursionTenth  = 10    // of the excursions are its tail
	excursionTimes  = 4.
	excursionSigmas = 2.5
	excursionMost   = 12. // nats beyond the budget's at which G stands still, see most
)

// most is the evidence at which an excursion stands still: how long it lasted must not say how long
// till it is over. It is more than any gauge needs: the 200th of a class has a
// share of e^−10.5, and half of the evidence.
func (c *AlwaysOnConfig) most() float64 { return c.threshold() + excursionMost }

// add takes one sample. It may be worse on these sides.
func (x *excursions) add(sec int64, value float64, worse Worse, most float64) {
	// The past is kept in half the room: only so is a sample what it was before.
	value = float64(float32(min(max(value, -math.MaxFloat32), math.MaxFloat32)))
	if x.Stride == 0 {
		x.Stride, x.Began = 1, sec
		x.settle()
	}
	if x.N >= excursionPast/2 {
		for k := range x.Sides {
			if worse == WorseBoth || (worse == WorseLower) == (k == 1) {
				x.step(k, sec, value, worse, most)
			}
		}
	}
	x.learn(value)
}

func (x *excursions) step(k int, sec int64, value float64, worse Worse, most float64) {
	s := &x.Sides[k]
	rank := 1
	for _, p := range x.Past[:x.N] {
		if float64(p) == value || (float64(p) > value) == (k == 0) {
			rank++
		}
	}
	gain := math.Log(float64(x.N+1)/float64(rank)) - excursionDrift
	if gain < 0 || s.nats < most {
		s.G += gain
	}
	if s.G <= 0 {
		s.close(k, value)
		return
	}
	if s.Samples == 0 {
		s.Since, s.Far = sec, value
	}
	s.Samples++
	s.Sum += value
	if value != x.bounds[k] && (value > x.bounds[k]) == (k == 0) {
		s.Beyond++
	}
	s.Far = farther(k, s.Far, value)
	s.Peak = math.Max(s.Peak, s.G)
	s.nats = 0
	if x.restless || s.Cycles < excursionCycles || 2*s.Beyond < s.Samples || s.G < excursionTimes*float64(s.Top[0]) {
		return
	}
	m := min(excursionTop, s.Cycles/excursionTenth)
	over, sum := s.G-float64(s.Top[m]), 0.
	for _, top := range s.Top[:m] {
		sum += float64(top - s.Top[m])
	}
	sum = math.Max(sum, excursionExcess*float64(m))
	s.nats = float64(m)*math.Log1p(over/sum) - math.Log(float64(m+1)/float64(max(sec-x.Began, 1)))
	if worse == WorseBoth {
		s.nats -= math.Ln2
	}
	s.nats = math.Max(s.nats, 0)
}

func farther(k int, a, b float64) float64 {
	if k == 0 {
		return math.Max(a, b)
	}
	return math.Min(a, b)
}

// close ends an excursion with a sample that belongs to none.
func (s *excursion) close(k int, value float64) {
	if s.Peak > 0 {
		s.Cycles++
		if at := slices.IndexFunc(s.Top[:], func(t float32) bool { return s.Peak > float64(t) }); at >= 0 {
			copy(s.Top[at+1:], s.Top[at:])
			s.Top[at] = float32(s.Peak)
		}
		value = farther(k, value, s.Far)
	}
	if s.Known {
		value = farther(k, value, s.Before)
	}
	s.Before, s.Known = value, true
	s.G, s.Peak, s.Since, s.Samples, s.Beyond, s.Sum, s.Far, s.nats = 0, 0, 0, 0, 0, 0, 0, 0
}

// learn keeps each Stride-th sample; when there is no room, half of them, twice as far apart.
func (x *excursions) learn(value float64) {
	if x.Skip++; x.Skip < x.Stride {
		return
	}
	x.Skip = 0
	if x.N == excursionPast {
		for i := range excursionPast / 2 {
			x.Past[i] = x.Past[2*i+1]
		}
		x.N /= 2
		x.Stride *= 2
	}
	x.Past[x.N] = float32(value)
	x.N++
	x.settle()
}

// settle finds what follows from the past alone: whether it drifts, and the bounds.
func (x *excursions) settle() {
	x.restless = true
	if x.N < excursionPast/2 {
		return
	}
	past := x.Past[:x.N]
	sorted := slices.Clone(past)
	slices.Sort(sorted)
	n := float64(x.N)
	middle := float64(sorted[x.N/2])
	high, low := float64(sorted[x.N*9/10]), float64(sorted[x.N/10])
	x.bounds = [2]float64{high + byMore(high, middle), low - byMore(low, middle)}
	var ranks [excursionPast]float64
	squares := 0.
	for i, v := range past {
		from, _ := slices.BinarySearch(sorted, v)
		till := from
		for till < x.N && sorted[till] == v {
			till++
		}
		ranks[i] = float64(from+till) - n
		squares += ranks[i] * ranks[i]
	}
	if squares == 0 {
		return // of what never varied nothing is known
	}
	for q := 2.; q <= 8; q *= 2 {
		ratio := 1.
		for lag := 1; lag < int(q); lag++ {
			c := 0.
			for i := lag; i < x.N; i++ {
				c += ranks[i] * ranks[i-lag]
			}
			ratio += 2 * (1 - float64(lag)/q) * c / squares
		}
		if ratio > 1+excursionSigmas*math.Sqrt(2*(2*q-1)*(q-1)/(3*q)/n) {
			return
		}
	}
	x.restless = false
}

// leading is the side with more evidence.
func (x *excursions) leading() int {
	if x.Sides[1].nats > x.Sides[0].nats {
		return 1
	}
	return 0
}

// excur takes a sample into the excursions of a gauge. What it was before a
// deployment says nothing of what it is since, but that what was told is over.
func (s *service) excur(g *gauge, sec int64, value float64, deployed bool) {
	w := s.always
	switch {
	case !g.searched():
	case g.excursions == nil && deployed:
	case deployed && (w == nil || w.excursion == nil || w.excursion.of != g.excursions):
		g.excursions = nil
	case g.excursions == nil:
		g.excursions = &excursions{}
		fallthrough
	default:
		g.excursions.add(sec, value, g.worse, s.engine.cfg.AlwaysOn.most())
	}
}

// excursion is the excursion of an indicator's gauge that has most evidence.
func (i *indicator) excursion() (x *excursions, side int) {
	g := i.opt().gauge
	if g == nil || g.gauge.excursions == nil {
		return nil, 0
	}
	return g.gauge.excursions, g.gauge.excursions.leading()
}

// weighExcursion takes what a gauge's excursion shows into the channel's
// evidence: the mean of both, as of levels.
func (i *indicator) weighExcursion() {
	if x, k := i.excursion(); x != nil {
		i.nats = meanE([]float64{i.nats, x.Sides[k].nats})
	}
}

// toldExcursion is what an anomaly stands on that an excursion of a gauge showed.
type toldExcursion struct {
	of     *excursions
	side   int
	shown  event.Evidence
	onset  event.Onset
	before string // what was usual
}

// tellExcursion notes that it is the leader's excursion that is told, not its counts.
func (w *watch) tellExcursion(sec int64) {
	i := w.leader
	x, k := i.excursion()
	if x == nil || x.Sides[k].nats < i.nats {
		return
	}
	s, test := &x.Sides[k], i.opt().gauge
	word := [2]string{"above", "below"}[k]
	past := 0.
	for _, p := range x.Past[:x.N] {
		if (float64(p) > x.bounds[k]) == (k == 0) {
			past++
		}
	}
	at := w.engine.clock.timeOf(s.Since)
	t := &toldExcursion{of: x, side: k, onset: event.Onset{At: at, Earliest: at, Latest: at}}
	t.before = fmt.Sprintf("never %s %s in %s", word, significant(s.Before), spanText(s.Since-x.Began))
	t.shown = event.Evidence{Signal: i.signal(), Operation: test.gauge.key.name, Unit: "1", Nats: i.nats, Threshold: w.threshold - math.Log(float64(i.share)), Harm: true,
		New: event.Count{Events: float64(s.Beyond), Exposure: float64(s.Samples)}, Old: event.Count{Events: past, Exposure: float64(x.N)},
		Control: event.ControlHistory, Onset: &t.onset}
	t.shown.Detail = fmt.Sprintf("%s for %s, %s: samples %s %s", significant(s.Sum/float64(s.Samples)), spanText(sec-s.Since), t.before, word, significant(x.bounds[k]))
	if test.gauge.key.series != "" {
		t.shown.Detail = test.gauge.key.series + ": " + t.shown.Detail
	}
	e := &t.shown
	e.After, e.Before = e.New.Events/e.New.Exposure, e.Old.Events/e.Old.Exposure
	e.Ratio, e.Interval = ratioOf(e.After, e.Before, e.Old.Exposure), difference(e.New, e.Old, 1, true)
	w.excursion = t
}

// over says whether it has come back: as much was usual since as it was not.
func (t *toldExcursion) over() bool { return t.of.Sides[t.side].G == 0 }

// ended says how it ended. What is taken for normal is learnt anew.
func (t *toldExcursion) ended(recovered bool) string {
	if recovered {
		return t.shown.Operation + " is back where it was before it began, " + t.before
	}
	*t.of = excursions{}
	return t.shown.Operation + " stays where it is, and is taken for normal"
}

// spanText is a length of time as people say it.
func spanText(seconds int64) string {
	for _, unit := range []struct {
		of   int64
		name string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}} {
		if n := (seconds + unit.of/2) / unit.of; n >= 2 || n == 1 && unit.of == 1 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "no time"
}

// loadGauge takes a gauge's past from a snapshot; what is damaged is learnt anew.
func (s *service) loadGauge(st gaugeState) {
	x := &st.Excursions
	key := gaugeKey{st.Name, st.Series, st.Client}
	if s.gauges.byKey[key] != nil || len(s.gauges.order) >= maxGauges || x.N < 0 || x.N > excursionPast || x.Stride < 1 || x.Stride > math.MaxInt32 || st.Worse > WorseLower {
		return
	}
	for k := range x.Sides {
		side := &x.Sides[k]
		sum := side.G + side.Peak + side.Sum + side.Far + side.Before
		for _, top := range side.Top {
			sum += float64(top)
		}
		if !finite(sum) || side.Samples < 0 || (side.Samples == 0) != (side.G <= 0) {
			return
		}
	}
	x.settle()
	s.gauges.make(key, Sample{Worse: st.Worse, Golden: true}).excursions = x
}
