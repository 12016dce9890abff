package detect

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// recorded is one story with the state that its verdict must have.
type recorded struct {
	name  string
	state event.VerdictState
	play  func(s *sim)
}

// stories are verdicts of each state, by each kind of control and evidence.
var stories = []recorded{
	{"hard errors beside the old version", event.Regressed, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		pods[9].errors = .2
		s.run(60, pods, nil)
	}},
	{"soft errors ten minutes after the start", event.Regressed, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(600, pods, nil)
		pods[9].errors = .03
		s.run(300, pods, nil)
	}},
	{"a slow burn that is taken together before it is called", event.Regressed, func(s *sim) {
		pods := s.roll(20, .01, 180, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		pods[9].errors = .0145
		s.run(7200, pods, func() bool { return s.state("d") == event.Regressed })
		pods[9].errors = .04
		s.run(600, pods, func() bool { return s.state("d") == event.Regressed })
	}},
	{"all at once, against history", event.Regressed, func(s *sim) {
		pods := s.roll(100, .2, 900, .01)
		s.run(280, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(120, pods[9:], nil)
	}},
	{"an exception never seen before", event.Regressed, func(s *sim) {
		pods := s.roll(10, 0, 90, 0)
		s.run(280, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(20, pods, nil)
		for i := range 8 {
			s.run(1, pods, nil)
			pods[9].source.Exception(Exception{Fingerprint: 42, At: s.sec * second, Trace: uint64(i + 1), Type: "KeyError"}, fixedExample{})
			s.run(1, pods, nil)
		}
	}},
	{"slower", event.Regressed, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		s.run(280, pods[:9], nil)
		s.deploy("d", "2", "1")
		pods[9].median = 400
		s.run(200, pods, nil)
	}},
	{"no change", event.Healthy, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(900, pods, nil)
	}},
	{"no change, against history", event.Healthy, func(s *sim) {
		pods := s.roll(900, .01, 900, .01)
		s.run(280, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(900, pods[9:], nil)
	}},
	{"just begun", event.Watching, func(s *sim) {
		pods := s.roll(10, .01, 90, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(45, pods, nil)
	}},
	{"thin", event.Inconclusive, func(s *sim) {
		pods := s.roll(.2, .01, 2, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(700, pods, nil)
	}},
	{"the old version is as bad", event.Exonerated, func(s *sim) {
		pods := s.roll(100, .01, 900, .01)
		s.run(280, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(20, pods, nil)
		for _, p := range pods {
			p.errors = .3
		}
		s.run(60, pods, nil)
	}},
}

func play(t *testing.T, story recorded) *Document {
	t.Helper()
	cfg := Config{}
	if story.state == event.Inconclusive {
		cfg.Watches = []time.Duration{time.Minute, 10 * time.Minute}
	}
	s := newSim(5, cfg)
	story.play(s)
	d, ok := s.e.Document("d")
	require.True(t, ok)
	require.Equal(t, story.state, d.Verdict.State, d.Verdict.Detail)
	return d
}

// through gives a document as a reader gets it.
func through(t *testing.T, d *Document) (*Document, int) {
	t.Helper()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	var out Document
	require.NoError(t, json.Unmarshal(text, &out))
	return &out, len(text)
}

// Steps that were taken together hold the order of their counts no more. What
// lies below zero hangs on it, and neither speaks for harm.
func TestAWatchOfNoHarmFollowsFromItsDocument(t *testing.T) {
	s := newSim(1, Config{})
	old := []*pod{s.pod("1", 0, 100, .01), s.pod("1", 1, 100, .01)}
	s.run(3600, old, nil)
	s.deploy("d", "2", "1")
	pods := append(old, s.pod("2", 0, 100, .014))
	for range 10 {
		s.run(30, pods, nil)
		d, ok := s.e.Document("d")
		require.True(t, ok)
		got, _ := through(t, d)
		require.Empty(t, got.Recompute().Problems)
	}
	d, _ := s.e.Document("d")
	require.Less(t, d.Indicators[0].Levels[0].Nats, 0.)
	require.Less(t, len(d.Indicators[0].Levels[0].Steps), maxSteps, "some were taken together")
	d.Indicators[0].Levels[0].Nats = 3
	require.NotEmpty(t, d.Recompute().Problems)
}

func TestAVerdictFollowsFromItsDocument(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			d, size := through(t, play(t, story))
			r := d.Recompute()
			t.Logf("%d bytes, %.2f nats of %.2f, %.2f recomputed; %v", size, d.Verdict.Nats, d.Verdict.Threshold, r.Nats, r.Gaps)
			for _, i := range r.Indicators {
				t.Logf("  %s %s: %.3f recorded, %.3f recomputed, exact %v, within %v", i.Signal, i.Operation, i.Recorded, i.Nats, i.Exact, i.Within)
			}
			require.Empty(t, r.Problems)
			require.True(t, r.Conclusive)
			require.True(t, r.Agrees)
			require.Equal(t, story.state, r.State)
			require.Less(t, size, 400_000)
		})
	}
}

// Whatever is altered is seen.
func TestAnAlteredDocumentDoesNotAgree(t *testing.T) {
	regressed, healthy := play(t, stories[0]), play(t, stories[6])
	leading := func(d *Document) *LevelPart { return &d.Indicators[0].Levels[0] }
	last := func(l *LevelPart) *Step { return &l.Steps[len(l.Steps)-1] }
	for name, alter := range map[string]func(*Document){
		"fewer failures": func(d *Document) { last(leading(d)).NewEvents /= 2 },
		"fewer failures, sums too": func(d *Document) {
			s := last(leading(d))
			leading(d).Tested.NewEvents -= s.NewEvents / 2
			s.NewEvents /= 2
		},
		"more failures":               func(d *Document) { last(leading(d)).NewEvents++ },
		"more requests":               func(d *Document) { last(leading(d)).NewExposure *= 3 },
		"the control fails as well":   func(d *Document) { last(leading(d)).OldEvents += 100 },
		"a step less":                 func(d *Document) { l := leading(d); l.Steps = l.Steps[:len(l.Steps)-1] },
		"no over-dispersion":          func(d *Document) { leading(d).Phi = 1 },
		"less than Poisson":           func(d *Document) { leading(d).Phi = .5 },
		"a larger share":              func(d *Document) { d.Indicators[0].Share = .9 },
		"a lower threshold":           func(d *Document) { d.Verdict.Threshold = 2 },
		"other settings":              func(d *Document) { d.Settings.MinErrorRatio = .5 },
		"more evidence":               func(d *Document) { d.Verdict.Nats += 5 },
		"more evidence of indicators": func(d *Document) { leading(d).Nats += 5; d.Indicators[0].Nats += 5 },
		"evidence out of nowhere":     func(d *Document) { d.Rest.Evidence += 1e4; d.Verdict.Nats = math.Log(math.Exp(d.Verdict.Nats) + 1e4) },
		"a noisier service":           func(d *Document) { leading(d).Dispersed.Noise = 2 },
		"a phi of its own":            func(d *Document) { leading(d).Phi *= 1.0001; leading(d).Heaviest = 1 },
		"a longer window":             func(d *Document) { leading(d).Seconds += 100 },
		"a worse past":                func(d *Document) { leading(d).Base.Events *= 2 },
		"a wider bound":               func(d *Document) { leading(d).Bounds[1] *= 1.5 },
		"the worst not called so":     func(d *Document) { d.Indicators[0].Shown.Harm = false },
		"a noise of its own": func(d *Document) {
			l := leading(d)
			l.Dispersed.Noise = 2
			l.Dispersed.base, l.Dispersed.instanced = l.Base, true
			w := l.Window
			l.Phi = l.Dispersed.phi(counts{w.NewEvents, w.NewExposure, w.OldEvents, w.OldExposure, w.BoundExposure, w.BoundMean, l.Heaviest}, extent{l.Seconds, l.Seconds})
			l.Bounds[0], l.Bounds[1] = bounds(l.Base, pastPhi(l.Base.Events, 2, l.Dispersed.Seconds, l.Dispersed.Past), alphaOf(d))
		},
		"a threshold of its own": func(d *Document) { d.Verdict.Threshold += .01 },
		"an earlier onset": func(d *Document) {
			d.Indicators[0].Shown.Onset.At = d.Indicators[0].Shown.Onset.At.Add(-9 * time.Second)
		},
		"a later end of the onset": func(d *Document) {
			d.Indicators[0].Shown.Onset.Latest = d.Indicators[0].Shown.Onset.Latest.Add(9 * time.Second)
		},
		"called healthy":  func(d *Document) { d.Verdict.State = event.Healthy },
		"called watching": func(d *Document) { d.Verdict.State = event.Watching },
	} {
		d, _ := through(t, regressed)
		alter(d)
		r := d.Recompute()
		require.False(t, r.Agrees, name)
		require.NotEmpty(t, r.Problems, name)
	}
	for name, alter := range map[string]func(*Document){
		"called regressed": func(d *Document) { d.Verdict.State = event.Regressed },
		"failures that were left out": func(d *Document) {
			for i := range d.Indicators {
				for k := range d.Indicators[i].Levels {
					if tolerance := d.Indicators[i].Levels[k].Tolerance; tolerance != nil {
						for s := range tolerance.Ratio {
							tolerance.Ratio[s].NewEvents *= 1.6
						}
						for s := range tolerance.Rise {
							tolerance.Rise[s].Events *= 1.6
						}
					}
				}
			}
		},
		"no critical indicator": func(d *Document) {
			for i := range d.Indicators {
				d.Indicators[i].Critical = false
			}
		},
	} {
		d, _ := through(t, healthy)
		alter(d)
		require.False(t, d.Recompute().Agrees, name)
	}
	d, _ := through(t, healthy)
	d.Schema = "deployloop/evidence/9"
	r := d.Recompute()
	require.False(t, r.Conclusive)
	require.False(t, r.Agrees)
}

// A calibrated threshold follows from the windows that the document holds.
func TestAThresholdFollowsFromItsWindows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, x := range []struct {
		own, pooled  int
		least, alpha float64
		source       event.CalibrationSource
	}{{1024, 0, 2, .001, event.CalibrationOwn}, {50, 0, 2, .05, event.CalibrationOwn}, {30, 4096, 6, .001, event.CalibrationPooled}, {30, 500, 6, .001, event.CalibrationTail}} {
		var c calibration
		var p pool
		for range x.own {
			c.add(x.least + rng.ExpFloat64()/2)
		}
		for range x.pooled {
			p.Peaks = append(p.Peaks, float32(rng.ExpFloat64()))
		}
		c.Raise = math.Ln2
		want, source := c.threshold(&p, x.alpha)
		require.Equal(t, x.source, source.Source)
		d, _ := through(t, play(t, stories[0]))
		b, cal := c.basis(&p, x.alpha)
		d.Settings.FalseAlarms, d.Verdict.Threshold, d.Verdict.Calibration, d.Verdict.Basis = 1000*x.alpha, want, cal, &b
		d, size := through(t, d)
		require.Less(t, size, 400_000)
		problems := func() (out []string) {
			d.recomputeThreshold(x.alpha, func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) })
			return out
		}
		require.Empty(t, problems(), x.source)
		if x.source != event.CalibrationOwn || x.alpha > .01 { // else Ville's or the cap decides, whatever they showed
			top := d.Verdict.Basis.Highest
			for k := range top {
				top[k] += .5
			}
			require.NotEmpty(t, problems(), x.source)
			for k := range top {
				top[k] -= .5
			}
		}
		d.Verdict.Basis.Highest = d.Verdict.Basis.Highest[1:]
		require.NotEmpty(t, problems(), "%s: a window less", x.source)
	}
}

// A restart in the middle of a watch goes on with the record.
func TestARecordOutlivesARestart(t *testing.T) {
	s := newSim(5, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(120, pods[:9], nil)
	s.deploy("d", "2", "1")
	s.run(50, pods, nil)
	saved, err := s.e.Snapshot()
	require.NoError(t, err)
	next := newSim(6, Config{})
	next.e = New(Config{Start: time.Unix(s.sec, 0)})
	next.sec = s.sec
	require.NoError(t, next.e.Restore(saved))
	pods = next.roll(100, .01, 900, .01)
	pods[9].errors = .03
	next.run(300, pods, func() bool { return next.state("d") == event.Regressed })
	require.Equal(t, event.Regressed, next.state("d"))
	d, ok := next.e.Document("d")
	require.True(t, ok)
	d, _ = through(t, d)
	require.Less(t, d.Indicators[0].Levels[0].Steps[0].At, int32(50), "what was before the restart")
	r := d.Recompute()
	require.True(t, r.Agrees, "%v %v", r.Problems, r.Gaps)
	// Another restart: the decision stands, its document is with who was told.
	saved, err = next.e.Snapshot()
	require.NoError(t, err)
	last := New(Config{Start: time.Unix(next.sec, 0)})
	require.NoError(t, last.Restore(saved))
	last.Tick(time.Unix(next.sec+5, 0))
	_, ok = last.Document("d")
	require.False(t, ok)
}

// A record is bounded whatever comes, and says what it has no room for.
func TestARecordIsBounded(t *testing.T) {
	var s series
	for k := range int32(100_000) {
		x := step{at: k, ticks: 1, margin: 1.1, wc: 10, ws: 90, xc: float32(k % 3 % 2), xs: 1}
		s.add(x, maxSteps)
		require.Less(t, len(s), maxSteps)
	}
	ticks, events := int32(0), float32(0)
	for _, x := range s {
		require.Equal(t, ticks, x.at, "no test is left out")
		ticks += x.ticks
		events += x.xc
	}
	require.Equal(t, int32(100_000), ticks)
	require.InDelta(t, 33333, events, 1)
	require.Equal(t, int32(1), s[len(s)-1].ticks, "the newest stand alone")
	require.Less(t, s[0].ticks, int32(30_000), "the oldest are not all one")

	sim := newSim(1, Config{})
	var pods, newer []*pod
	for i := range 150 {
		old, fresh := sim.pod("1", 0, 20, .01), sim.pod("2", 0, 20, .3)
		old.op, fresh.op = "op"+string(rune('A'+i%26))+string(rune('a'+i/26)), "op"+string(rune('A'+i%26))+string(rune('a'+i/26))
		pods, newer = append(pods, old), append(newer, fresh)
	}
	sim.run(60, pods, nil)
	sim.deploy("d", "2", "1")
	for range 300 {
		if sim.e.watches["d"].regressedAt != 0 {
			break
		}
		sim.run(1, append(pods, newer...), nil)
		require.LessOrEqual(t, sim.e.recorded, recordedLevels)
	}
	d, ok := sim.e.Document("d")
	require.True(t, ok)
	require.Equal(t, event.Regressed, d.Verdict.State)
	require.Len(t, d.Indicators, maxParts)
	require.NotZero(t, d.Rest.Indicators)
	require.Zero(t, sim.e.recorded, "a decided watch holds no record")
	d, size := through(t, d)
	require.Less(t, size, 500_000)
	r := d.Recompute()
	require.Empty(t, r.Problems)
	t.Logf("%d bytes, %d levels unrecorded, %v", size, d.Rest.Unrecorded, r.Gaps)
}
