package detect

import (
	"math"
	"slices"
	"sort"
	"strconv"
)

// gaugeTest is where a gauge is tested, a bound a level.
type gaugeTest struct {
	gauge  *gauge
	bounds []gaugeBound
	icc    float64          // correlation of samples of one instance
	ranks  rankSums         // that it was found from
	pods   map[*Source]bool // of the new cohort that sent it
	oldAt  int64            // last second with a sample of the old cohort
}

type gaugeBound struct {
	at     float64
	lower  bool // what is below the bound is beyond it
	within bool // events are the samples within the bound, and harm is fewer of them
}

// counts says whether a sample is an event of the bound's.
func (b gaugeBound) counts(v float64) bool {
	if b.lower {
		return v < b.at != b.within
	}
	return v > b.at != b.within
}

// newGaugeTest finds the bounds in the gauge's history: its q90 and q99, or
// q10 and q1, moved out by a twentieth of the value or a quarter of the
// distance from the median, so that a sample beyond is worse by something. The
// nearer bound is counted from both sides: a share that rises beyond one half
// shows sooner in what vanishes.
func newGaugeTest(g *gauge) *gaugeTest {
	t := &gaugeTest{gauge: g, pods: map[*Source]bool{}}
	values := make([]float64, g.n)
	for i := range values {
		values[i] = g.ring[i].value
	}
	sort.Float64s(values)
	at := func(q float64) float64 { return values[min(int(q*float64(len(values))), len(values)-1)] }
	median := at(.5)
	for _, q := range []float64{.9, .99} {
		if g.worse != WorseLower {
			v := at(q)
			t.bounds = append(t.bounds, gaugeBound{at: v + byMore(v, median)})
		}
		if g.worse != WorseHigher {
			v := at(1 - q)
			t.bounds = append(t.bounds, gaugeBound{at: v - byMore(v, median), lower: true})
		}
		if q == .9 {
			for _, b := range t.bounds {
				b.within = true
				t.bounds = append(t.bounds, b)
			}
		}
	}
	// Where the quantiles fall together, a second count of the same is only a cost.
	kept := t.bounds[:0]
	for _, b := range t.bounds {
		if !slices.Contains(kept, b) {
			kept = append(kept, b)
		}
	}
	t.bounds = kept
	t.ranks = g.rankSums()
	t.icc = t.ranks.correlation()
	return t
}

// byMore is how far beyond a quantile a sample is worse by something.
func byMore(quantile, median float64) float64 {
	return math.Max(.05*math.Abs(quantile), .25*math.Abs(quantile-median))
}

// rankSums are sums over the ranks of a gauge's past samples and the instances
// that sent them: enough for a one-way analysis of variance.
type rankSums struct {
	Instances float64 `json:"instances"`
	Samples   float64 `json:"samples"`
	Sizes     float64 `json:"sizes"`   // Σ n² over instances
	Between   float64 `json:"between"` // Σ (Σ rank)²/n over instances
	Squares   float64 `json:"squares"` // Σ rank²
}

func (g *gauge) rankSums() rankSums {
	type pod struct{ n, sum float64 }
	pods := map[*Source]*pod{}
	var order []*pod // as they came: sums do not depend on chance
	out := rankSums{Samples: float64(g.n)}
	for i, r := range g.ranks() {
		p := pods[g.ring[i].source]
		if p == nil {
			p = &pod{}
			pods[g.ring[i].source] = p
			order = append(order, p)
		}
		p.n++
		p.sum += r
		out.Squares += r * r
	}
	for _, p := range order {
		out.Instances++
		out.Sizes += p.n * p.n
		out.Between += p.sum * p.sum / p.n
	}
	return out
}

// correlation is the intraclass correlation of the gauge's values among samples
// of one instance (one-way ANOVA on ranks), shrunk towards a prior. Samples of
// an instance that differs from its fellows by nature, as in memory, are no
// independent evidence.
func (s *rankSums) correlation() float64 {
	k, n := s.Instances, s.Samples
	if k < 2 || n <= k {
		return gaugePriorICC
	}
	mean := (n - 1) / 2
	between := math.Max(s.Between-n*mean*mean, 0) / (k - 1)
	within := math.Max(s.Squares-s.Between, 0) / (n - k)
	n0 := (n - s.Sizes/n) / (k - 1)
	icc := 0.
	if between+within > 1e-12*s.Squares { // else it is rounding
		icc = math.Min(math.Max((between-within)/(between+(n0-1)*within), 0), 1)
	}
	return (k*icc + gaugePriorPods*gaugePriorICC) / (k + gaugePriorPods)
}

// ranks are the ranks of the samples, equal ones sharing their mean.
func (g *gauge) ranks() []float64 {
	order := make([]int, g.n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return g.ring[order[a]].value < g.ring[order[b]].value })
	out := make([]float64, g.n)
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && g.ring[order[j]].value == g.ring[order[i]].value {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// base counts history's samples beyond a bound, and their instances.
func (g *gauge) base(b gaugeBound) (x, n, pods float64) {
	seen := map[*Source]bool{}
	for i := range g.n {
		n++
		seen[g.ring[i].source] = true
		if b.counts(g.ring[i].value) {
			x++
		}
	}
	return x, n, float64(len(seen))
}

// inflation is the design effect of samples that come in clusters, an instance each.
func (t *gaugeTest) inflation(c counts) float64 {
	d := Dispersion{Clusters: t.clusters()}
	return d.phi(c, extent{})
}

func (t *gaugeTest) clusters() *cluster {
	return &cluster{Correlation: t.icc, Pods: float64(len(t.pods)), Ranks: &t.ranks}
}

// text is how a bound reads: "client=web: samples below 0.93".
func (t *gaugeTest) text(k int) string {
	word := "above "
	if t.bounds[k].lower {
		word = "below "
	}
	out := "samples " + word + significant(t.bounds[k].at)
	if t.gauge.key.series != "" {
		out = t.gauge.key.series + ": " + out
	}
	if t.gauge.key.client != "" {
		out = "as " + t.gauge.key.client + " sees it: " + out
	}
	return out
}

func significant(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
