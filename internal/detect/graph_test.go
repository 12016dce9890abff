package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A shop of three services: web and mobile call payments, payments calls its
// data base. Each failed call fails the caller's request.
type shop struct {
	*sim
	web, mobile, payments *Source
	frontend              *Source // nil: nobody calls web
	perSecond             int
	now                   func(sec int64) (dbFails, webFails float64) // shares, from a second of the test on
}

func (x *shop) source(service, version string) *Source {
	return x.e.Source(Origin{Service: service, Environment: "prod", Version: version, Instance: service + "-" + version})
}

func (x *shop) play(seconds int) {
	for range seconds {
		db, own := x.now(x.sec - simStart)
		end := x.sec*second + second/2
		for range x.perSecond {
			for _, caller := range []*Source{x.web, x.mobile} {
				lost := x.rng.Float64() < db+.002
				x.payments.Call(Call{Callee: "payments-db", End: end, Duration: 1e6, Failed: lost})
				x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: 2e6, Failed: lost}, nil)
				mine := caller == x.web && x.rng.Float64() < own
				caller.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: lost || mine})
				failed := lost || mine || x.rng.Float64() < .002
				caller.Request(Request{Operation: "POST /order", End: end, Duration: 4e6, Failed: failed}, nil)
				if caller == x.web && x.frontend != nil {
					x.frontend.Call(Call{Callee: "web", End: end, Duration: 5e6, Failed: failed})
					x.frontend.Request(Request{Operation: "GET /", End: end, Duration: 6e6, Failed: failed}, nil)
				}
			}
		}
		x.tick()
	}
}

func newShop(seed uint64) *shop {
	x := &shop{sim: newSim(seed, Config{Watches: []time.Duration{time.Minute, 5 * time.Minute}}), perSecond: 20}
	x.web, x.mobile, x.payments = x.source("web", "1"), x.source("mobile", "1"), x.source("payments", "1")
	x.now = func(int64) (float64, float64) { return 0, 0 }
	return x
}

// deployed puts version 2 of a service in place of version 1.
func (x *shop) deployed(service string, source **Source) {
	*source = x.source(service, "2")
	x.e.Watch(event.Deployment{ID: service, Service: service, Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}, event.Advise)
}

// The data base goes bad while web happens to be deployed: mobile suffers, too,
// and the first to move is named over two hops.
func TestUpstreamMovedFirst(t *testing.T) {
	for seed := range uint64(5) {
		x := newShop(seed)
		x.play(400)
		x.deployed("web", &x.web)
		x.now = func(sec int64) (float64, float64) {
			if sec >= 460 {
				return .3, 0
			}
			return 0, 0
		}
		x.play(120)
		v, ok := x.e.Verdict("web")
		require.True(t, ok)
		require.Equal(t, event.Exonerated, v.State, "seed %d: %s", seed, v.Detail)
		require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
		require.Contains(t, v.Detail, "First to move: payments-db.")
		require.Contains(t, v.Detail, "it went bad for mobile too")
	}
}

// A new version that makes its own calls fail is not exonerated: nobody else suffers.
func TestCallsThatOnlyTheNewVersionBreaks(t *testing.T) {
	for seed := range uint64(5) {
		x := newShop(seed)
		x.play(400)
		x.deployed("web", &x.web)
		x.now = func(int64) (float64, float64) { return 0, .2 }
		x.play(60)
		v, _ := x.e.Verdict("web")
		require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
	}
}

// What callers see of a service counts for its deployment, even where its own
// spans say that all is well.
func TestCallersSpeakForACallee(t *testing.T) {
	for seed := range uint64(5) {
		x := newShop(seed)
		x.play(400)
		x.deployed("payments", &x.payments)
		x.now = func(int64) (float64, float64) { return 0, .2 } // web cannot read the answers any more
		x.play(60)
		v, _ := x.e.Verdict("payments")
		require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
		require.Contains(t, v.Detail, "errors as seen by web")
		require.Zero(t, v.Evidence[0].Operation)
	}
}

// The deployment upstream is the culprit, not the caller's that came before.
func TestUpstreamsOwnDeploymentIsBlamed(t *testing.T) {
	x := newShop(1)
	x.play(400)
	x.deployed("web", &x.web)
	x.play(45)
	x.deployed("payments", &x.payments)
	x.now = func(int64) (float64, float64) { return .4, 0 }
	x.play(60)
	v, _ := x.e.Verdict("payments")
	require.Equal(t, event.Regressed, v.State, v.Detail)
	v, _ = x.e.Verdict("web")
	require.Equal(t, event.Exonerated, v.State, v.Detail)
	require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
}

// A caller of the service that inherits a harm sees that harm too: its view
// does not convict what the dependency graph has cleared.
func TestCallersSeeWhatWasInherited(t *testing.T) {
	for seed := range uint64(5) {
		x := newShop(seed)
		x.frontend = x.source("frontend", "1")
		x.play(400)
		x.deployed("web", &x.web)
		x.now = func(sec int64) (float64, float64) {
			if sec >= 460 {
				return .3, 0
			}
			return 0, 0
		}
		x.play(200)
		v, _ := x.e.Verdict("web")
		require.Equal(t, event.Exonerated, v.State, "seed %d: %s", seed, v.Detail)
		require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
		seen := x.e.watches["web"].byOp[x.e.services[serviceKey{"web", "prod"}].opIndex[seenBy+"frontend"]]
		require.True(t, seen.errors.cleared, "seed %d: the caller's view was not asked, so this shows nothing", seed)
	}
}

// A canary and the old version beside it fail alike, since something that both
// need did; their caller does not tell them apart.
func TestCallersSeeTheOldVersionToo(t *testing.T) {
	for seed := range uint64(5) {
		for name, own := range map[string]float64{"both fail": 0, "the canary fails more": .6} {
			x := newShop(seed)
			x.play(400)
			canary := x.payments
			old := x.payments
			x.deployed("payments", &canary)
			for range 150 {
				lost := .002
				if x.sec-simStart >= 440 {
					lost = .3
				}
				end := x.sec*second + second/2
				for k := range 50 {
					at, share := old, lost
					if k%5 == 0 {
						at, share = canary, lost+own
					}
					failed := x.rng.Float64() < share
					at.Request(Request{Operation: "POST /pay", End: end, Duration: 2e6, Failed: failed}, nil)
					x.web.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: failed})
					x.web.Request(Request{Operation: "POST /order", End: end, Duration: 4e6, Failed: failed}, nil)
				}
				x.tick()
			}
			v, _ := x.e.Verdict("payments")
			if own > 0 {
				require.Equal(t, event.Regressed, v.State, "seed %d, %s: %s", seed, name, v.Detail)
				continue
			}
			require.Equal(t, event.Exonerated, v.State, "seed %d, %s: %s", seed, name, v.Detail)
			require.Equal(t, event.ReasonOldCohortAffected, v.Reason)
		}
	}
}

// slowness of the shop's calls, in milliseconds beyond the usual.
type slowness struct{ payments, web float64 }

// playSlow is play with latencies: payments answers in 3 ms and what is slow
// there, web in as much more as its own work takes; web makes calls a request.
func (x *shop) playSlow(seconds int, calls func(sec int64) int, slow func(sec int64) slowness) {
	for range seconds {
		s, n := slow(x.sec-simStart), calls(x.sec-simStart)
		end := x.sec*second + second/2
		for range x.perSecond {
			for _, caller := range []*Source{x.web, x.mobile} {
				own, many := int64(4e6*(.8+.4*x.rng.Float64())), 1
				if caller == x.web {
					own, many = own+int64(s.web*1e6), n
				}
				for range many {
					took := int64((3e6 + s.payments*1e6) * (.8 + .4*x.rng.Float64()))
					x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: took}, nil)
					caller.Call(Call{Callee: "payments", End: end, Duration: took + 1e5})
					own += took
				}
				caller.Request(Request{Operation: "POST /order", End: end, Duration: own}, nil)
			}
		}
		x.tick()
	}
}

// A callee that got slower excuses what it accounts for, and no more.
func TestSlowUpstream(t *testing.T) {
	once := func(int64) int { return 1 }
	for name, c := range map[string]struct {
		slow  slowness
		calls int // of web's new version, from the time of the harm on
		state event.VerdictState
	}{
		"payments is slow":                         {slowness{payments: 60}, 1, event.Exonerated},
		"payments is a little slow, web very much": {slowness{payments: 5, web: 500}, 1, event.Regressed},
		"web is slow":                              {slowness{web: 60}, 1, event.Regressed},
		"web makes payments slow":                  {slowness{payments: 60}, 4, event.Regressed},
	} {
		for seed := range uint64(2) {
			x := newShop(seed)
			x.playSlow(700, once, func(int64) slowness { return slowness{} })
			x.deployed("web", &x.web)
			from := x.sec - simStart + 60
			x.playSlow(160, func(sec int64) int {
				if sec < from {
					return 1
				}
				return c.calls
			}, func(sec int64) slowness {
				if sec < from {
					return slowness{}
				}
				return c.slow
			})
			v, ok := x.e.Verdict("web")
			require.True(t, ok)
			require.Equal(t, c.state, v.State, "%s, seed %d: %s", name, seed, v.Detail)
			if c.state == event.Exonerated {
				require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
				require.Contains(t, v.Detail, "it went bad for mobile too")
			}
		}
	}
}

// A new version that calls something so often that it fails is not excused by
// what it did to others; one whose calls are tried again since they fail is.
func TestOverloadedCalleeExcusesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		calls int  // a request, by the new version
		retry bool // a failed call is made again, by any version
		state event.VerdictState
	}{
		"as often as before":    {1, false, event.Exonerated},
		"tried again":           {1, true, event.Exonerated},
		"three calls a request": {3, false, event.Regressed},
	} {
		for seed := range uint64(3) {
			x := newShop(seed)
			began := int64(400)
			play := func(seconds int) {
				for range seconds {
					at, end := x.sec-simStart, x.sec*second+second/2
					fails, many := .002, 1
					if at >= began {
						many = c.calls
					}
					if at >= began+60 {
						fails = .4
					}
					for range x.perSecond {
						for _, caller := range []*Source{x.web, x.mobile} {
							n := 1
							if caller == x.web {
								n = many
							}
							failed := false
							for range n {
								lost := x.rng.Float64() < fails
								caller.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: lost})
								if lost && c.retry {
									lost = x.rng.Float64() < fails
									caller.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: lost})
								}
								failed = failed || lost
							}
							caller.Request(Request{Operation: "POST /order", End: end, Duration: 4e6, Failed: failed}, nil)
						}
					}
					x.tick()
				}
			}
			play(400)
			x.deployed("web", &x.web)
			play(160)
			v, _ := x.e.Verdict("web")
			require.Equal(t, c.state, v.State, "%s, seed %d: %s", name, seed, v.Detail)
		}
	}
}

// What callers see of latency is the old version's too, while both serve.
func TestCallersSeeTheOldVersionsLatency(t *testing.T) {
	for name, own := range map[string]int64{"both are slow": 0, "the canary is slower": 40e6} {
		for seed := range uint64(3) {
			x := newShop(seed)
			x.playSlow(700, func(int64) int { return 1 }, func(int64) slowness { return slowness{} })
			canary, old := x.payments, x.payments
			x.deployed("payments", &canary)
			from := x.sec + 60
			for range 200 {
				end := x.sec*second + second/2
				for k := range 50 {
					at, took := old, int64(3e6*(.8+.4*x.rng.Float64()))
					if x.sec >= from {
						took += 30e6
					}
					if k%5 == 0 {
						if at = canary; x.sec >= from {
							took += own
						}
					}
					at.Request(Request{Operation: "POST /pay", End: end, Duration: took}, nil)
					x.web.Call(Call{Callee: "payments", End: end, Duration: took + 1e5})
					x.web.Request(Request{Operation: "POST /order", End: end, Duration: took + 4e6}, nil)
				}
				x.tick()
			}
			v, _ := x.e.Verdict("payments")
			if own > 0 {
				require.Equal(t, event.Regressed, v.State, "seed %d, %s: %s", seed, name, v.Detail)
				continue
			}
			require.Equal(t, event.Exonerated, v.State, "seed %d, %s: %s", seed, name, v.Detail)
			require.Equal(t, event.ReasonOldCohortAffected, v.Reason)
		}
	}
}
