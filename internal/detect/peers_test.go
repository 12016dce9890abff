package detect

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// neighbourhood plays a service that calls a data base and five others, all fed
// by the same users.
type neighbourhood struct {
	*sim
	own    *pod
	others []*pod
	users  ar1
	calls  bool // the service's calls are known
}

func newNeighbourhood(seed uint64, calls bool) *neighbourhood {
	x := &neighbourhood{sim: newSim(seed, Config{Watches: []time.Duration{time.Minute, 20 * time.Minute}}), users: ar1{sigma: .15, tau: 30}, calls: calls}
	x.own = x.pod("1", 0, 1000, .01)
	for i := range 5 {
		p := x.pod("1", 0, 300, .01)
		p.source = x.e.Source(Origin{Service: "other-" + strconv.Itoa(i), Environment: "prod", Version: "1", Instance: "a"})
		x.others = append(x.others, p)
	}
	return x
}

// play serves so many seconds; own and all are the shares of the users that come.
func (x *neighbourhood) play(seconds int, own, all float64) {
	rate := x.own.rate
	defer func() { x.own.rate = rate }()
	for range seconds {
		users := x.users.next(x.rng) * all
		if x.calls {
			x.own.source.Call(Call{Callee: "db", End: x.sec*second + second/2, Duration: 1e6})
		}
		for _, p := range x.others {
			p.rate = 300 * users
		}
		x.own.rate = rate * users * own
		x.run(1, append([]*pod{x.own}, x.others...), nil)
	}
}

func (x *neighbourhood) deployed() {
	x.deploy("d", "2", "1")
	x.own = x.pod("2", 0, 1000, .01)
}

// What all lose is no harm of the one that was deployed; what it loses alone is.
func TestTrafficIsComparedWithPeers(t *testing.T) {
	for name, c := range map[string]struct {
		calls    bool
		own, all float64
		state    event.VerdictState
	}{
		"all lose their users":               {true, 1, .01, event.Healthy},
		"it loses its users":                 {true, .01, 1, event.Regressed},
		"it loses more than all":             {true, .01, .3, event.Regressed},
		"all lose them, and it may feed all": {false, 1, .01, event.Regressed},
	} {
		for seed := range uint64(3) {
			x := newNeighbourhood(seed, c.calls)
			x.play(700, 1, 1)
			x.deployed()
			w := x.e.watches["d"]
			if !c.calls {
				require.Empty(t, w.peers, name)
			} else {
				require.GreaterOrEqual(t, len(w.peers), leastPeers, "%s, seed %d", name, seed)
			}
			x.play(100, 1, 1)
			x.play(400, c.own, c.all)
			v := x.last["d"]
			require.Equal(t, c.state, v.State, "%s, seed %d: %s (%s)", name, seed, v.Detail, v.ControlDetail)
			if c.calls {
				require.Contains(t, v.ControlDetail, "traffic beside that of other-")
			}
		}
	}
}

// What a service sets going by messages falls with it when it loses its work,
// and is no peer of it, nor of who calls it; nor is whom that calls.
func TestPeersBehindABroker(t *testing.T) {
	for name, c := range map[string]struct {
		produces string // who sends messages, besides what is told of who takes them
		takes    bool   // it is told that the others take them
		peers    bool
	}{
		"it sends messages":                {produces: "checkout", peers: false},
		"others take messages":             {takes: true, peers: false},
		"another sends messages":           {produces: "other-0", peers: true},
		"nobody has to do with any at all": {peers: true},
	} {
		x := newNeighbourhood(2, true)
		told := func() {
			for _, p := range append(x.others, x.own) {
				if p.source.service.key.name == c.produces {
					p.source.Produces()
				}
				// Two others are called by one that takes messages.
				if k := slices.Index(x.others, p); k >= 2 && c.takes {
					p.source.Request(Request{Operation: p.op, End: x.sec*second + second/2, Duration: 1e6, Family: FamilyConsumer}, nil)
				} else if c.takes && k >= 0 {
					x.others[2].source.Call(Call{Callee: p.source.service.key.name, End: x.sec*second + second/2, Duration: 1e6})
				}
			}
		}
		for range 70 {
			told()
			x.play(10, 1, 1)
		}
		data, err := x.e.Snapshot() // it is known over a restart
		require.NoError(t, err)
		again := New(Config{Start: time.Unix(x.sec, 0), Watches: x.e.cfg.Watches})
		require.NoError(t, again.Restore(data))
		x.e = again
		for _, p := range append(x.others, x.own) {
			p.source = x.e.Source(p.source.Origin())
		}
		x.deployed()
		require.Equal(t, c.peers, len(x.e.watches["d"].peers) > 0, name)
		x.play(100, 1, 1)
		x.play(300, 1, .01) // what it lost, the others lost with it
		want := event.Regressed
		if c.peers {
			want = event.Healthy
		}
		require.Equal(t, want, x.last["d"].State, "%s: %s (%s)", name, x.last["d"].Detail, x.last["d"].ControlDetail)
	}
}

// What peers excused before a restart is excused after it.
func TestPeersOverARestart(t *testing.T) {
	x := newNeighbourhood(1, true)
	x.play(700, 1, 1)
	x.deployed()
	x.play(100, 1, 1)
	before := x.e.watches["d"].peers
	data, err := x.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(x.sec, 0), Watches: x.e.cfg.Watches})
	require.NoError(t, again.Restore(data))
	x.e = again
	for _, p := range append(x.others, x.own) {
		p.source = x.e.Source(p.source.Origin())
	}
	peers := x.e.watches["d"].peers
	require.Len(t, peers, len(before))
	for k := range peers {
		require.Equal(t, before[k].service.key, peers[k].service.key)
		require.Equal(t, before[k].before, peers[k].before)
		require.Same(t, again.services[peers[k].service.key], peers[k].service)
	}
	x.play(400, 1, .01)
	require.Equal(t, event.Healthy, x.last["d"].State, "%s (%s)", x.last["d"].Detail, x.last["d"].ControlDetail)
}

// Who gets its traffic from the service, or calls it, is no peer; nor is who
// was deployed, or has users of its own.
func TestPeersDoNotHangTogether(t *testing.T) {
	x := newNeighbourhood(1, true)
	call := func(from *Source, to string) {
		from.Call(Call{Callee: to, End: x.sec*second + second/2, Duration: 1e6})
	}
	between := x.e.Source(Origin{Service: "between", Environment: "prod", Version: "1", Instance: "a"})
	for range 700 {
		call(x.own.source, "between")
		call(between, "other-0")
		call(x.others[1].source, "checkout")
		x.play(1, 1, 1)
	}
	x.e.Watch(event.Deployment{ID: "o", Service: "other-2", Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}, event.Advise)
	require.True(t, x.e.hangTogether(x.own.source.service, x.others[0].source.service))
	require.True(t, x.e.hangTogether(x.others[1].source.service, x.own.source.service))
	require.False(t, x.e.hangTogether(x.own.source.service, x.others[3].source.service))
	x.deployed()
	require.Empty(t, x.e.watches["d"].peers, "two are left, and three are needed")
}

// Services with users of their own are seldom taken for peers.
func TestPeersAreChosenByCorrelation(t *testing.T) {
	chosen := 0
	for seed := range uint64(20) {
		x := newNeighbourhood(seed, true)
		for _, p := range x.others {
			p.noise = ar1{sigma: .15, tau: 30}
		}
		x.users = ar1{}
		x.own.noise = ar1{sigma: .15, tau: 30}
		x.play(400, 1, 1)
		x.deployed()
		if len(x.e.watches["d"].peers) > 0 {
			chosen++
		}
	}
	require.LessOrEqual(t, chosen, 3)
}
