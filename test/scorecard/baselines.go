package main

import (
	"math"
	"math/rand/v2"
	"sort"
)

// baseline is another way to judge a deployment, on the same counts, once a
// second. It says once that the deployment is bad.
type baseline interface {
	past(t tally)                     // a second before the deployment
	step(fresh, old tally) (bad bool) // a second of the watch
}

var baselineNames = []string{"static threshold", "3σ of an EWMA", "Mann–Whitney canary", "raw Poisson test", "E-divisive"}

func newBaselines(seed uint64) []baseline {
	return []baseline{&static{}, &ewma{}, &mannWhitney{}, newRawPoisson(), &eDivisive{rng: rand.New(rand.NewPCG(seed, 9))}}
}

// static is an alert rule: over the last minute, more than 5 % of requests fail
// or more than 10 % take longer than 200 ms, of at least 50.
type static struct {
	ring [60]tally
	at   int
}

func (s *static) past(tally) {}
func (s *static) step(fresh, _ tally) bool {
	s.ring[s.at%60] = fresh
	s.at++
	var sum tally
	for _, t := range s.ring {
		sum.add(t)
	}
	return sum.n >= 50 && (sum.failed > .05*sum.n || sum.slow > .1*sum.n)
}

// bins gathers seconds into ten-second bins.
type bins struct {
	sum   tally
	count int
}

func (b *bins) add(t tally) (full tally, ok bool) {
	b.sum.add(t)
	if b.count++; b.count < 10 {
		return full, false
	}
	full = b.sum
	*b = bins{}
	return full, full.n > 0
}

// ewma alarms when a ten-second bin's share of failed or slow requests is more
// than three standard deviations above its exponentially weighted mean
// (λ = 0.1), learnt before the deployment.
type ewma struct {
	in         bins
	mean, vari [2]float64
	seen       int
}

func shares(t tally) [2]float64 { return [2]float64{t.failed / t.n, t.slow / t.n} }

func (e *ewma) past(t tally) {
	full, ok := e.in.add(t)
	if !ok {
		return
	}
	for i, x := range shares(full) {
		if e.seen == 0 {
			e.mean[i] = x
			continue
		}
		d := x - e.mean[i]
		e.mean[i] += .1 * d
		e.vari[i] = .9 * (e.vari[i] + .1*d*d)
	}
	e.seen++
}

func (e *ewma) step(fresh, _ tally) bool {
	full, ok := e.in.add(fresh)
	if !ok || e.seen < 5 {
		return false
	}
	for i, x := range shares(full) {
		if x > e.mean[i]+3*math.Sqrt(e.vari[i]) && x > e.mean[i]+.001 {
			return true
		}
	}
	return false
}

// mannWhitney is a canary judge: ten-second bins of the new version against
// those of the old one (or of the minutes before), two-sided at 1 %, as soon as
// there are 50 points and every minute from then on; harm is a higher rank and
// a mean that is a quarter higher, as canary judges require an effect.
type mannWhitney struct {
	a, b   bins
	before [2][]float64
	fresh  [2][]float64
	old    [2][]float64
	second int
}

func (m *mannWhitney) past(t tally) {
	if full, ok := m.b.add(t); ok {
		for i, x := range shares(full) {
			m.before[i] = append(m.before[i], x)
		}
	}
}

func (m *mannWhitney) step(fresh, old tally) bool {
	if full, ok := m.a.add(fresh); ok {
		for i, x := range shares(full) {
			m.fresh[i] = append(m.fresh[i], x)
		}
	}
	if full, ok := m.b.add(old); ok {
		for i, x := range shares(full) {
			m.old[i] = append(m.old[i], x)
		}
	}
	m.second++
	const minimum = 50
	if m.second%60 != 0 && len(m.fresh[0]) != minimum || len(m.fresh[0]) < minimum {
		return false
	}
	for i := range m.fresh {
		control := m.old[i]
		if len(control) < minimum {
			control = append(append([]float64{}, m.before[i]...), m.old[i]...)
		}
		if len(control) >= 20 && rankZ(m.fresh[i], control) > 2.576 && mean(m.fresh[i]) > 1.25*mean(control) {
			return true
		}
	}
	return false
}

func mean(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v
	}
	return s / math.Max(float64(len(x)), 1)
}

// rankZ is the normal deviate of the rank-sum of a against b, with ties.
func rankZ(a, b []float64) float64 {
	type item struct {
		v     float64
		first bool
	}
	all := make([]item, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, item{v, true})
	}
	for _, v := range b {
		all = append(all, item{v, false})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].v < all[j].v })
	sum, ties := 0., 0.
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		for _, x := range all[i:j] {
			if x.first {
				sum += float64(i+j+1) / 2
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	u := sum - n*(n+1)/2
	total := n + m
	v := n * m / 12 * (total + 1 - ties/(total*(total-1)))
	if v <= 0 {
		return 0
	}
	return (u - n*m/2) / math.Sqrt(v)
}

// rawPoisson is the sequential test without what real noise needs: the mixture
// over the same grid of ratios, once a second, at α = 0.001, no margin, no
// variance–time curve; the old version is its partner, else the past rate.
type rawPoisson struct {
	base tally
	logs [2][8]float64
}

var rawGrid = [8]float64{1.1, 1.25, 1.5, 2, 3, 5, 10, 30}

func newRawPoisson() *rawPoisson { return &rawPoisson{} }

func (r *rawPoisson) past(t tally) { r.base.add(t) }

func (r *rawPoisson) step(fresh, old tally) bool {
	x := [2]float64{fresh.failed, fresh.slow}
	y := [2]float64{old.failed, old.slow}
	base := [2]float64{r.base.failed, r.base.slow}
	for i := range r.logs {
		sum := 0.
		for k, ratio := range rawGrid {
			switch {
			case old.n > 0 && fresh.n > 0:
				before := fresh.n / (fresh.n + old.n)
				after := ratio * fresh.n / (ratio*fresh.n + old.n)
				r.logs[i][k] += x[i]*math.Log(after/before) + y[i]*math.Log((1-after)/(1-before))
			case old.n == 0 && r.base.n > 0:
				mu := math.Max(base[i], .5) / r.base.n * fresh.n
				r.logs[i][k] += x[i]*math.Log(ratio) - mu*(ratio-1)
			}
			sum += math.Exp(math.Min(r.logs[i][k], 600))
		}
		if math.Log(sum/8) >= math.Log(1000) {
			return true
		}
	}
	return false
}

// eDivisive looks for one change point in the new version's bins after the
// past's, by the energy statistic and a permutation test (99 permutations,
// significant when none is larger), at 1, 2, 5 and 10 minutes; harm is a higher
// mean after the change, and a change after the deployment.
type eDivisive struct {
	in       bins
	series   [2][]float64
	deployed int
	second   int
	rng      *rand.Rand
}

func (e *eDivisive) past(t tally) {
	if full, ok := e.in.add(t); ok {
		e.push(full)
		e.deployed = len(e.series[0])
	}
}

func (e *eDivisive) push(t tally) {
	for i, x := range shares(t) {
		e.series[i] = append(e.series[i], x)
	}
}

func (e *eDivisive) step(fresh, _ tally) bool {
	if full, ok := e.in.add(fresh); ok {
		e.push(full)
	}
	e.second++
	if e.second != 60 && e.second != 120 && e.second != 300 && e.second != 600 {
		return false
	}
	for _, x := range e.series {
		at, q := bestSplit(x)
		if at < e.deployed-1 || mean(x[at:]) <= mean(x[:at]) {
			continue
		}
		shuffled := append([]float64{}, x...)
		larger := false
		for range 99 {
			e.rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if _, other := bestSplit(shuffled); other >= q {
				larger = true
				break
			}
		}
		if !larger {
			return true
		}
	}
	return false
}

// bestSplit is the split with the largest energy statistic, in O(n²): the sums
// of distances within and between are moved along with the split.
func bestSplit(x []float64) (at int, q float64) {
	n := len(x)
	within, between := 0., 0. // distances inside the left; left to right
	right := 0.
	for i := range x {
		for j := i + 1; j < n; j++ {
			right += math.Abs(x[i] - x[j])
		}
	}
	for k := range n {
		toLeft, toRight := 0., 0.
		for j := range k {
			toLeft += math.Abs(x[k] - x[j])
		}
		for j := k + 1; j < n; j++ {
			toRight += math.Abs(x[k] - x[j])
		}
		within += toLeft
		right -= toRight
		between += toRight - toLeft
		l, r := float64(k+1), float64(n-k-1)
		if l < 5 || r < 5 {
			continue
		}
		e := 2*between/(l*r) - 2*within/(l*(l-1)) - 2*right/(r*(r-1))
		if e = e * l * r / (l + r); e > q {
			at, q = k+1, e
		}
	}
	return at, q
}
