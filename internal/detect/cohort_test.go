package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestWhoIsNew(t *testing.T) {
	started := time.Unix(simStart+600, 0)
	versions := event.Deployment{ID: "d", Service: "s", Version: "2", PreviousVersion: "1", StartedAt: started}
	listed := versions
	listed.Instances = []string{"db-0"}
	revisions := event.Deployment{ID: "d", Service: "s", Revision: "bbb", PreviousRevision: "aaa", StartedAt: started, Instances: []string{"db-0"}}
	neither := event.Deployment{ID: "d", Service: "s", StartedAt: started, Instances: []string{"db-0"}}
	for _, c := range []struct {
		name string
		d    event.Deployment
		o    Origin
		seen int64 // seconds after the deployment's start
		new  bool
	}{
		{"new version, no list", versions, Origin{Version: "2", Instance: "x"}, 5, true},
		{"old version, no list", versions, Origin{Version: "1", Instance: "x"}, 5, false},
		{"listed, new version", listed, Origin{Version: "2", Instance: "db-0"}, 5, true},
		{"listed, but this is the old version under the same name", listed, Origin{Version: "1", Instance: "db-0"}, -300, false},
		{"listed, its telemetry never changes its version, but it came with the deployment", listed, Origin{Version: "1", Instance: "db-0"}, 5, true},
		{"listed, under a version that nobody named", listed, Origin{Version: "dev", Instance: "db-0"}, -300, true},
		{"not yet on an incomplete list, new version", listed, Origin{Version: "2", Instance: "db-1"}, 5, true},
		{"not listed, old version", listed, Origin{Version: "1", Instance: "db-1"}, -300, false},
		{"not listed, old version, a restart", listed, Origin{Version: "1", Instance: "db-1"}, 5, false},
		{"listed, old revision under the same name", revisions, Origin{Revision: "aaa", Instance: "db-0"}, -300, false},
		{"listed, new revision", revisions, Origin{Revision: "bbb", Instance: "db-0"}, 5, true},
		{"only the list tells: listed", neither, Origin{Instance: "db-0"}, -300, true},
		{"only the list tells: not listed", neither, Origin{Instance: "db-1"}, 5, false},
		{"only time tells: before", neither, Origin{}, -300, false},
		{"only time tells: after", neither, Origin{}, 5, true},
	} {
		e := New(Config{Start: started.Add(-10 * time.Minute)})
		w := e.newWatch(e.serviceOf("s", ""), c.d, event.Advise)
		source := newSource(w.service, c.o)
		source.first = started.Unix() + c.seen
		assert.Equal(t, c.new, w.isNew(source), c.name)
	}
}

// A StatefulSet keeps its names: a list of them must not make the old pods,
// which serve beside the canary, new ones.
func TestNamesThatOutliveAVersion(t *testing.T) {
	s := newSim(1, Config{})
	named := func(version, name string, errors float64) *pod {
		p := s.pod(version, 0, 50, errors)
		p.source = s.e.Source(Origin{Service: "checkout", Environment: "prod", Version: version, Instance: name})
		return p
	}
	old := []*pod{named("1", "db-0", .01), named("1", "db-1", .01), named("1", "db-2", .01)}
	s.run(300, old, nil)
	d := event.Deployment{ID: "d", Service: "checkout", Environment: "prod", Version: "2", PreviousVersion: "1",
		Instances: []string{"db-0", "db-1", "db-2"}, StartedAt: time.Unix(s.sec, 0)}
	s.e.Watch(d, event.Advise)
	s.run(60, []*pod{old[0], old[1], named("2", "db-2", .2)}, func() bool { return s.state("d") == event.Regressed })
	v := s.last["d"]
	require.Equal(t, event.Regressed, v.State, v.Detail)
	assert.Equal(t, event.ControlConcurrent, v.Control)
	assert.InDelta(t, .2, v.Evidence[0].After, .1)
}
