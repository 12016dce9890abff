package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A log template that comes no more is shown, with its evidence, and convicts
// nobody: code is often meant to log less.
func TestVanishedTemplatesAreShown(t *testing.T) {
	for name, stays := range map[string]bool{"it stays": true, "it goes": false} {
		s := newSim(3, Config{Watches: []time.Duration{time.Minute, 20 * time.Minute}})
		old := []*pod{s.pod("1", 0, 60, .01), s.pod("1", 1, 60, .01)}
		fresh := s.pod("2", 0, 60, .01)
		line := func(p *pod, template uint64, text string, severity int) {
			for range 20 {
				p.source.Log(LogLine{Template: template, Text: text, Severity: severity, At: s.sec*second + second/2}, nil)
			}
		}
		play := func(seconds int, pods []*pod) {
			for range seconds {
				for _, p := range pods {
					line(p, 1, "cart <*> saved", 9)
					if p != fresh || stays {
						line(p, 2, "stock of <*> reserved", 9)
					}
					if p != fresh {
						line(p, 3, "cannot reach <*>", 17) // an error that is gone is no loss
					}
				}
				s.run(1, pods, nil)
			}
		}
		play(400, old)
		s.deploy("d", "2", "1")
		play(400, append(old, fresh))
		v := s.last["d"]
		require.Equal(t, event.Healthy, v.State, "%s: %s", name, v.Detail)
		d, ok := s.e.Document("d")
		require.True(t, ok)
		d, _ = through(t, d)
		shown := map[string]event.Evidence{}
		for _, i := range d.Indicators {
			if i.Shown.Operation == "log lines" {
				require.Zero(t, i.Share)
				require.False(t, i.Shown.Harm)
				shown[i.Shown.Detail] = i.Shown
			}
		}
		if stays {
			require.Empty(t, shown, name)
			continue
		}
		require.Len(t, shown, 1, name)
		e := shown["stock of <*> reserved"]
		require.Greater(t, e.Nats, 10.)
		require.Zero(t, e.After)
		require.Positive(t, e.Before)
		require.Contains(t, Sentence(e), "throughput of log lines stock of <*> reserved 3")
		told := false
		for _, x := range v.Evidence {
			told = told || x.Operation == "log lines" && !x.Harm
		}
		require.True(t, told)
		r := d.Recompute()
		require.Empty(t, r.Problems)
	}
}

// Good and Turing's missing mass, of the past or, without one, of the new version.
func TestMissingMass(t *testing.T) {
	s := newSim(4, Config{})
	p := s.pod("1", 0, 20, .01)
	fail := func(p *pod, fingerprint uint64) {
		p.source.Exception(Exception{Fingerprint: fingerprint, Type: "E", At: s.sec*second + second/2}, nil)
	}
	for k := range uint64(90) {
		fail(p, 1)
		if k%9 == 0 {
			fail(p, 100+k) // ten kinds that come once
		}
		s.run(1, []*pod{p}, nil)
	}
	s.run(1, []*pod{p}, nil)
	s.deploy("d", "2", "1")
	d, ok := s.e.Document("d")
	require.True(t, ok)
	require.Equal(t, &Unseen{Kinds: 11, Occurrences: 100, Singletons: 10, MissingMass: .1}, d.Control.Unseen)

	s = newSim(4, Config{})
	s.deploy("d", "2", "1")
	p = s.pod("2", 0, 20, .01)
	for k := range uint64(30) {
		fail(p, 1)
		fail(p, 1)
		fail(p, 100+k)
		s.run(1, []*pod{p}, nil)
	}
	d, _ = s.e.Document("d")
	require.InDelta(t, 1./3, d.Control.Unseen.MissingMass, .02)
}

// What one of many does is not shared, be it one that has no requests at all.
func TestSharedWork(t *testing.T) {
	s := newSim(1, Config{})
	pods := []*pod{s.pod("1", 0, 20, 0), s.pod("1", 1, 20, 0)}
	cron := s.pod("1", 2, 0, 0)
	for range 5 {
		for _, p := range append(pods, cron) {
			p.source.Log(LogLine{Template: 1, Text: "tick", Severity: 9, At: s.sec*second + second/2}, nil)
		}
		cron.source.Log(LogLine{Template: 2, Text: "cleaned", Severity: 9, At: s.sec*second + second/2}, nil)
		s.run(1, pods, nil)
	}
	work := s.e.order[0].spreading()
	require.Equal(t, 2, work.busy)
	require.Len(t, work.sources, 3)
	require.True(t, work.shared(1, true))
	require.False(t, work.shared(2, true))
	require.True(t, work.shared(1, false))
}
