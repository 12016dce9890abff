package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	revA = "aaaaaaa1111111111111111111111111111111aa"
	revB = "bbbbbbb2222222222222222222222222222222bb"
)

// told is what a source tells of a rollout to prod of the cart service.
func told(source, revision, version string, at time.Duration, status event.DeploymentStatus, ids ...string) event.Deployment {
	d := event.Deployment{
		Service: "cart", Environment: "prod", Revision: revision, Version: version, Status: status,
		StartedAt: t0.Add(at), Aliases: ids, Sources: []event.Source{{Name: source, At: t0.Add(at)}},
	}
	if finished(status) {
		d.FinishedAt = t0.Add(at)
	}
	return d
}

func TestSourcesBecomeOneDeployment(t *testing.T) {
	s := newSeer(t)
	s.stay(0, 10*time.Minute, "1.0.0")
	hook, isNew := s.RecordDeployment(told("github", revB, "", 11*time.Minute, event.DeploymentStarted, "github:7"))
	require.True(t, isNew)
	_, isNew = s.see("1.1.0", 12*time.Minute)
	assert.False(t, isNew, "telemetry knows its version, the webhook its revision")
	_, isNew = s.RecordDeployment(told("api", revB[:9], "v1.1.0", 13*time.Minute, event.DeploymentSucceeded))
	assert.False(t, isNew)
	d, isNew := s.RecordDeployment(told("github", revB, "", 13*time.Minute, event.DeploymentSucceeded, "github:7"))
	assert.False(t, isNew)

	require.Len(t, s.list(), 1)
	assert.Equal(t, hook.ID, d.ID)
	assert.Equal(t, "1.1.0", d.Version)
	assert.Equal(t, revB, d.Revision)
	assert.Equal(t, "1.0.0", d.PreviousVersion)
	assert.Equal(t, event.DeploymentSucceeded, d.Status)
	assert.Equal(t, t0.Add(12*time.Minute), d.FirstSeenAt)
	assert.Equal(t, []string{"github", SourceTelemetry, "api"}, sourceNames(d))
	byAlias, ok := s.Deployment("github:7")
	require.True(t, ok)
	assert.Equal(t, d, byAlias)
	id, rev, ok := s.Current("cart", "prod", "1.1.0", "")
	assert.True(t, ok)
	assert.Equal(t, []string{d.ID, revB}, []string{id, rev})
}

func sourceNames(d event.Deployment) (names []string) {
	for _, s := range d.Sources {
		names = append(names, s.Name)
	}
	return names
}

func TestThereAndBackAreThree(t *testing.T) {
	l := New(Limits{})
	a, _ := l.RecordDeployment(told("api", revA, "", 0, event.DeploymentSucceeded))
	b, _ := l.RecordDeployment(told("api", revB, "", time.Minute, event.DeploymentSucceeded))
	c, isNew := l.RecordDeployment(told("api", revA, "", 2*time.Minute, event.DeploymentSucceeded))
	require.True(t, isNew)
	assert.NotEqual(t, a.ID, c.ID)
	assert.Equal(t, 1, c.Ordinal)
	assert.Equal(t, b.ID, c.RollbackOf)
	assert.Equal(t, revB, c.PreviousRevision)
	assert.Empty(t, b.RollbackOf)
	again, isNew := l.RecordDeployment(told("api", revB, "", time.Minute, event.DeploymentSucceeded))
	assert.False(t, isNew, "a redelivery")
	assert.Equal(t, b.ID, again.ID)
}

// A service that was first seen seconds ago gets a bad deploy and goes back:
// the way back is not a second telling of the first sight.
func TestTheWayBackToAYoungBaseline(t *testing.T) {
	s := newSeer(t)
	s.stay(0, 10*time.Second, "1.0.0")
	bad, isNew := s.RecordDeployment(told("api", revB, "1.1.0", 10*time.Second, event.DeploymentStarted))
	require.True(t, isNew)
	back, isNew := s.RecordDeployment(told("api", "", "1.0.0", 20*time.Second, event.DeploymentStarted))
	require.True(t, isNew)
	assert.Equal(t, bad.ID, back.RollbackOf)
	assert.Equal(t, t0.Add(20*time.Second), back.StartedAt)
}

func TestRolledBackStatusBringsBackWhatWasThere(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, "1.0.0")
	bad, _ := s.RecordDeployment(told("api", "", "1.1.0", 2*time.Minute, event.DeploymentStarted, "x"))
	s.RecordDeployment(told("api", "", "1.1.0", 5*time.Minute, event.DeploymentRolledBack, "x"))
	list := s.list()
	require.Len(t, list, 2)
	assert.Equal(t, bad.ID, list[0].RollbackOf)
	assert.Equal(t, "1.0.0", list[0].Version)
	assert.Equal(t, event.DeploymentRolledBack, list[1].Status)
	// The deployment of the old version that did it may be told as well, later.
	d, isNew := s.RecordDeployment(told("github", "", "1.0.0", 5*time.Minute+time.Second, event.DeploymentStarted, "github:9"))
	assert.False(t, isNew)
	assert.Equal(t, list[0].ID, d.ID)
}

func TestRedeploymentOfTheSameRevision(t *testing.T) {
	for name, again := range map[string]event.Deployment{
		"another id of the same source":        told("github", revA, "", 10*time.Minute, event.DeploymentStarted, "github:2"),
		"begun anew after it ended":            told("github", revA, "", 10*time.Minute, event.DeploymentStarted),
		"long after, by a source without ids":  told("api", revA, "", 9*time.Hour, ""),
		"long after, even with telemetry seen": told("api", revA, "", 30*time.Hour, event.DeploymentSucceeded),
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Limits{})
			l.RecordDeployment(told("github", revA, "", 0, event.DeploymentStarted, "github:1"))
			l.RecordDeployment(told("github", revA, "", time.Minute, event.DeploymentSucceeded, "github:1"))
			d, isNew := l.RecordDeployment(again)
			assert.True(t, isNew)
			assert.Equal(t, 1, d.Ordinal)
			assert.Empty(t, d.RollbackOf)
		})
	}
}

func TestIDsOfOtherKindsOrMadeUpDoNotSplit(t *testing.T) {
	l := New(Limits{})
	l.RecordDeployment(told("api", revA, "", 0, event.DeploymentStarted, event.GeneratedIDPrefix+"1"))
	l.RecordDeployment(told("api", revA, "", time.Minute, event.DeploymentSucceeded, event.GeneratedIDPrefix+"2"))
	l.RecordDeployment(told("github", revA, "", time.Minute, event.DeploymentSucceeded, "github-release:5"))
	l.RecordDeployment(told("github", revA, "", time.Minute, event.DeploymentSucceeded, "github:6"))
	list := l.Deployments(Query{})
	require.Len(t, list, 1)
	assert.Len(t, list[0].Aliases, 4)
}

func TestFailedDeploymentIsNotThePreviousOfTheNext(t *testing.T) {
	l := New(Limits{})
	l.RecordDeployment(told("api", revA, "", 0, event.DeploymentSucceeded))
	l.RecordDeployment(told("api", revB, "", time.Minute, event.DeploymentFailed))
	c, _ := l.RecordDeployment(told("api", "cccccccc", "", 2*time.Minute, event.DeploymentSucceeded))
	assert.Equal(t, revA, c.PreviousRevision)
}

func TestUnchangingVersionIsToldApartByRevision(t *testing.T) {
	l := New(Limits{})
	sight := func(revision string, at time.Duration) (event.Deployment, bool) {
		return l.RecordSighting(Sighting{Service: "cart", Version: "1.0.0", Revision: revision, At: t0.Add(at)})
	}
	sight(revA, 0)
	b, isNew := sight(revB, time.Minute)
	require.True(t, isNew)
	assert.Equal(t, revA, b.PreviousRevision)
	c, isNew := sight("cccccccc", time.Hour)
	require.True(t, isNew)
	assert.Empty(t, b.RollbackOf+c.RollbackOf)
	assert.Equal(t, event.DefaultEnvironment, c.Environment)
}

func TestVersionThatIsACommitID(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, revA[:8])
	d, _ := s.RecordDeployment(told("github", revB, "", 2*time.Minute, event.DeploymentStarted))
	_, isNew := s.see(revB[:8], 3*time.Minute)
	assert.False(t, isNew)
	id, rev, ok := s.Current("cart", "prod", revB[:8], "")
	assert.Equal(t, []any{d.ID, revB, true}, []any{id, rev, ok})
}

// Whatever the order in which the sources of one rollout arrive, and however
// often, it is one deployment with one id, which knows what each source knew.
func TestAnyOrderOfSourcesIsOneDeployment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(Limits{})
		sight := func(version, revision string, at time.Duration) func() (event.Deployment, bool) {
			return func() (event.Deployment, bool) {
				return l.RecordSighting(Sighting{Service: "cart", Environment: "prod", Version: version, Revision: revision, At: t0.Add(at)})
			}
		}
		tell := func(d event.Deployment) func() (event.Deployment, bool) {
			return func() (event.Deployment, bool) { return l.RecordDeployment(d) }
		}
		for at := time.Duration(0); at < 10*time.Minute; at += 10 * time.Second {
			sight("1.0.0", revA, at)()
		}
		both := rapid.Bool().Draw(t, "resources carry the revision")
		seenRevision := ""
		if both {
			seenRevision = revB
		}
		sources := []func() (event.Deployment, bool){
			tell(told("github", revB, "", 11*time.Minute, event.DeploymentStarted, "github:7")),
			tell(told("github", revB, "", 14*time.Minute, event.DeploymentSucceeded, "github:7")),
			sight("1.1.0", seenRevision, 12*time.Minute),
			tell(told("api", revB[:7], "1.1.0", 13*time.Minute, event.DeploymentSucceeded)),
			sight("1.0.0", revA, 12*time.Minute+time.Second),
		}
		twice := append(slices.Clone(sources), sources...)
		order := rapid.Permutation(twice).Draw(t, "order")
		ids := map[string]bool{}
		for _, source := range order {
			source()
			for _, d := range l.Deployments(Query{}) {
				ids[d.ID] = true
			}
		}
		list := l.Deployments(Query{})
		if len(list) != 1 {
			t.Fatalf("%d deployments: %+v", len(list), list)
		}
		d := list[0]
		if d.Revision != revB || d.Version != "1.1.0" || d.PreviousRevision != revA || d.PreviousVersion != "1.0.0" ||
			d.Status != event.DeploymentSucceeded || !d.StartedAt.Equal(t0.Add(11*time.Minute)) || d.Ordinal != 0 {
			t.Fatalf("%+v", d)
		}
		for id := range ids {
			if got, ok := l.Deployment(id); !ok || got.ID != d.ID {
				t.Fatalf("the id %s, once told, leads to %+v", id, got)
			}
		}
	})
}

// Ids never change, whatever is told; and every index agrees.
func TestIDsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(Limits{PerPlace: 50, Deployments: 80})
		ids := map[string]event.Deployment{}
		now := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"tell": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "build")
				d := told(rapid.SampledFrom([]string{"api", "github"}).Draw(t, "source"), "", "", now,
					rapid.SampledFrom([]event.DeploymentStatus{"", "started", "succeeded", "failed", "rolled_back"}).Draw(t, "status"))
				d.Revision, d.Version = fmt.Sprintf("%07d", n), rapid.SampledFrom([]string{"", fmt.Sprint("v", n)}).Draw(t, "version")
				d.StartedAt = d.StartedAt.Add(-time.Duration(rapid.IntRange(0, 3600).Draw(t, "late")) * time.Second)
				got, isNew := l.RecordDeployment(d)
				if _, known := ids[got.ID]; known == isNew && isNew {
					t.Fatalf("%s is said to be new again", got.ID)
				}
			},
			"sight": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "build")
				l.RecordSighting(Sighting{Service: "cart", Environment: "prod", Version: fmt.Sprint("v", n), At: t0.Add(now)})
			},
			"wait": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(1, 1000).Draw(t, "s")) * time.Second
			},
			"": func(t *rapid.T) {
				for id, was := range ids {
					if got, ok := l.Deployment(id); ok && (got.Service != was.Service || l.aliases[id] == nil && got.ID != id) {
						t.Fatalf("%s became %+v", id, got)
					}
				}
				if len(l.ordered) != len(l.deployments) || !slices.IsSortedFunc(l.ordered, byStart) {
					t.Fatalf("the order by start is broken")
				}
				for _, p := range l.places {
					if !slices.IsSortedFunc(p.deployments, byStart) {
						t.Fatalf("the order of a place is broken")
					}
					for _, d := range p.deployments {
						ids[d.ID] = d.Deployment
						if !slices.Contains(p.builds, d.build) {
							t.Fatalf("the build of %s is forgotten", d.ID)
						}
					}
				}
			},
		})
		before := l.Deployments(Query{Limit: 1000, Baselines: true})
		for id := range l.deployments {
			l.touch(kindDeployment, id)
		}
		fresh := New(Limits{})
		for _, item := range l.Dirty() {
			if item.Value == nil {
				continue
			}
			if err := fresh.Load(item.Key, item.Value); err != nil {
				t.Fatal(err)
			}
		}
		fresh.Loaded()
		if after := fresh.Deployments(Query{Limit: 1000, Baselines: true}); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("after a restart\n%v\nis\n%v", before, after)
		}
	})
}

func TestLimitsEvictTheOldest(t *testing.T) {
	l := New(Limits{Deployments: 10, PerPlace: 5})
	for i := range 20 {
		d := told("api", fmt.Sprintf("%07d", i), "", time.Duration(i)*time.Minute, event.DeploymentSucceeded)
		if i%2 == 0 {
			d.Service = "pay"
		}
		l.RecordDeployment(d)
	}
	assert.Len(t, l.Deployments(Query{}), 10)
	assert.Len(t, l.Deployments(Query{Service: "pay", Environment: "prod"}), 5)
	assert.EqualValues(t, 10, l.Dropped()["deployments"])
	assert.Equal(t, "0000019", l.Deployments(Query{Limit: 1})[0].Revision)
}

func TestUnidentifiedDeploymentIsCounted(t *testing.T) {
	l := New(Limits{})
	_, isNew := l.RecordDeployment(event.Deployment{Service: "cart"})
	assert.False(t, isNew)
	assert.EqualValues(t, 1, l.Dropped()["unidentified_deployments"])
}

// A new ReplicaSet of the image that was there is a deployment; the one that a
// source tells of by the tag is told of once.
func TestRolloutsOfOneImage(t *testing.T) {
	s := newSeer(t)
	s.stay(0, 10*time.Minute, "1.0.0+rs.aaaa")
	s.RecordDeployment(told("argocd", "", "1.1.0", 11*time.Minute, event.DeploymentStarted, "argocd:1"))
	_, isNew := s.see("1.1.0+rs.bbbb", 12*time.Minute)
	assert.False(t, isNew, "the one that Argo CD told of")
	s.stay(12*time.Minute, 30*time.Minute, "1.1.0+rs.bbbb")
	require.Len(t, s.list(), 1)
	assert.Equal(t, "1.1.0+rs.bbbb", s.list()[0].Version)

	_, isNew = s.see("1.1.0+rs.cccc", 31*time.Minute)
	require.True(t, isNew, "another rollout of the image")
	d, isNew := s.RecordDeployment(told("argocd", "", "1.1.0", 32*time.Minute, event.DeploymentSucceeded, "argocd:2"))
	assert.False(t, isNew, "told later than it was seen")
	assert.Equal(t, "1.1.0+rs.cccc", d.Version)
	assert.Equal(t, "1.1.0+rs.bbbb", d.PreviousVersion)
	require.Len(t, s.list(), 2)

	s.stay(32*time.Minute, 2*time.Hour, "1.1.0+rs.cccc")
	third, isNew := s.RecordDeployment(told("argocd", "", "1.1.0", 121*time.Minute, event.DeploymentStarted, "argocd:3"))
	require.True(t, isNew)
	_, isNew = s.see("1.1.0+rs.dddd", 122*time.Minute)
	assert.False(t, isNew)
	require.Len(t, s.list(), 3)
	for version, want := range map[string]string{"1.1.0+rs.cccc": d.ID, "1.1.0+rs.dddd": third.ID} {
		id, _, ok := s.Current("cart", "prod", version, "")
		assert.True(t, ok)
		assert.Equal(t, want, id, version)
	}
}

// Two sources that share no name tell of one rollout only if they tell of it at about
// the same time.
func TestSourcesWithoutACommonName(t *testing.T) {
	for after, want := range map[time.Duration]int{3 * time.Minute: 1, 40 * time.Minute: 2} {
		s := newSeer(t)
		s.stay(0, 10*time.Minute, "1.0.0")
		s.RecordDeployment(told("github", revB, "", 11*time.Minute, event.DeploymentSucceeded, "github:7"))
		s.RecordDeployment(told("argocd", "", "1.1.0", 11*time.Minute+after, event.DeploymentSucceeded, "argocd:1"))
		require.Len(t, s.list(), want, "%s later", after)
	}

	// What telemetry says of both is more than a guess.
	s := newSeer(t)
	s.stay(0, 10*time.Minute, "1.0.0")
	s.RecordDeployment(told("github", revB, "", 11*time.Minute, event.DeploymentSucceeded, "github:7"))
	s.RecordDeployment(told("argocd", "", "1.1.0", 51*time.Minute, event.DeploymentSucceeded, "argocd:1"))
	s.RecordSighting(Sighting{Service: "cart", Environment: "prod", Version: "1.1.0", Revision: revB, At: t0.Add(52 * time.Minute)})
	require.Len(t, s.list(), 1)
	assert.ElementsMatch(t, []string{"github", "argocd", SourceTelemetry}, sourceNames(s.list()[0]))
}
