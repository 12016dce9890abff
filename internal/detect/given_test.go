package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// playedSlower is the document of a deployment that gets slower, after a past
// whose latency drifted; playedGauge that of one whose queue grows.
func playedSlower(t *testing.T) *Document {
	t.Helper()
	d := play(t, recorded{"slower", event.Regressed, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		for k, p := range pods {
			p.median = 100 + 10*float64(k%3)
		}
		for k := range 40 {
			by := 1 + .5*float64(k%2)
			for _, p := range pods[:9] {
				p.median *= by
			}
			s.run(30, pods[:9], nil)
			for _, p := range pods[:9] {
				p.median /= by
			}
		}
		s.deploy("d", "2", "1")
		pods[9].median = 600
		s.run(200, pods, nil)
	}})
	d, _ = through(t, d)
	return d
}

func playedGauge(t *testing.T) *Document {
	t.Helper()
	s := newSim(8, Config{})
	var pods []*pod
	run := func(seconds int, fresh float64) {
		for range seconds {
			for k, p := range pods {
				if s.sec%10 != 0 {
					break
				}
				value := 10 + float64(k) + 4*s.rng.Float64()
				if k == 3 {
					value = fresh
				}
				p.source.Gauge(Sample{Name: "queue", At: s.sec * second, Value: value, Worse: WorseHigher, Golden: true})
			}
			s.tick()
		}
	}
	for k := range 3 {
		pods = append(pods, s.pod("1", k, 0, 0))
	}
	run(600, 0)
	s.deploy("d", "2", "1")
	pods = append(pods, s.pod("2", 3, 0, 0))
	run(600, 30)
	d, ok := s.e.Document("d")
	require.True(t, ok)
	require.NotNil(t, d.Indicators[0].Levels[0].Dispersed.Clusters)
	d, _ = through(t, d)
	return d
}

// What noise is reckoned from is in the document and is checked; what is taken
// as given is named, and nothing that was checked.
func TestWhatIsTakenAsGivenIsNamed(t *testing.T) {
	slower, gauge := playedSlower(t), playedGauge(t)
	latency := func(d *Document) *LevelPart {
		for k := range d.Indicators {
			if p := &d.Indicators[k]; p.Shown.Signal == event.SignalLatency {
				for l := range p.Levels {
					if x := &p.Levels[l]; x.Fellows != nil && x.Fellows.Instances >= spreadLeast && x.Dispersed.Past != nil && x.Recorded {
						return x
					}
				}
			}
		}
		require.Fail(t, "no level of latency with fellows and a restless past")
		return nil
	}
	queue := func(d *Document) *cluster { return d.Indicators[0].Levels[0].Dispersed.Clusters }
	const instances, past, samples = "how far instances differ in latency", "how noisy the past was", "how samples of one instance hang together"
	for _, d := range []*Document{slower, gauge} {
		r := d.Recompute()
		require.Empty(t, r.Problems)
		require.True(t, r.Agrees, r.Gaps)
		text := strings.Join(r.Given, "\n")
		for _, x := range []string{instances, past, samples} {
			require.NotContains(t, text, x)
		}
		require.Contains(t, text, "the telemetry that they were made of is gone")
		require.Contains(t, text, "quantiles of the past: ")
	}
	for what, x := range map[string]struct {
		of    *Document
		given string // by which it is named where its inputs are missing
		strip func(*Document)
		alter func(*Document)
	}{
		"instances that are more alike": {slower, instances, func(d *Document) { latency(d).Fellows = nil }, func(d *Document) { latency(d).Fellows.Squares *= .98 }},
		"a spread of its own":           {slower, instances, func(d *Document) { latency(d).Fellows = nil }, func(d *Document) { latency(d).Dispersed.Spread /= 2 }},
		"a calmer past":                 {slower, past, func(d *Document) { latency(d).Course = nil }, func(d *Document) { latency(d).Dispersed.Past = nil }},
		"another past":                  {slower, past, func(d *Document) { latency(d).Course = nil }, func(d *Document) { latency(d).Course.Blocks[2][3] *= 1.5 }},
		"less alike samples":            {gauge, samples, func(d *Document) { queue(d).Ranks = nil }, func(d *Document) { queue(d).Correlation /= 2 }},
		"other ranks":                   {gauge, samples, func(d *Document) { queue(d).Ranks = nil }, func(d *Document) { queue(d).Ranks.Between *= .99 }},
		"a smaller margin": {slower, "", nil, func(d *Document) {
			for k := range d.Indicators[0].Levels[0].Steps {
				d.Indicators[0].Levels[0].Steps[k].Margin = 1.01
			}
		}},
	} {
		d, _ := through(t, x.of)
		x.alter(d)
		r := d.Recompute()
		require.False(t, r.Agrees, what)
		require.NotEmpty(t, r.Problems, what)
		if x.strip == nil {
			continue
		}
		d, _ = through(t, x.of)
		x.strip(d)
		r = d.Recompute()
		require.True(t, r.Agrees, "%s: %v", what, r.Problems)
		require.Contains(t, strings.Join(r.Given, "\n"), x.given+": ", what)
	}
}

// The noise of a gauge is reckoned from how its samples hang together, that of
// nothing else is: a document that says otherwise does not agree.
func TestOnlyAGaugesSamplesHangTogether(t *testing.T) {
	slower, gauge := playedSlower(t), playedGauge(t)
	of := *gauge.Indicators[0].Levels[0].Dispersed.Clusters
	slower.Indicators[0].Levels[0].Dispersed.Clusters = &of
	gauge.Indicators[0].Levels[0].Dispersed.Clusters = nil
	for _, d := range []*Document{slower, gauge} {
		require.Contains(t, strings.Join(d.Recompute().Problems, "\n"), "samples of one instance hang together where they are a gauge's")
	}
}
