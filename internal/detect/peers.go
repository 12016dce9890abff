package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Peers tell whether the traffic of all went, and not of the one service that
// was deployed (difference in differences): services of the same environment
// that were not deployed, whose traffic rose and fell with this one's before.
// What they lost since is not expected of it either.

const (
	leastPeers  = 3
	mostPeers   = 8
	mostQueued  = .5  // of a peer's requests that are messages
	peerBins    = 30  // of ten seconds, before the watch, from which a correlation is known
	peerLeast   = 200 // requests in them
	correlated  = .3  // of what is left of the bins without their trend
	peerDepth   = 8   // calls from one to the other, over which they hang together
	peersNamed  = 3
	maxFollows  = 200 // services that are looked at on the way
	maxPeerPool = 500 // services that may be peers

	maxCandidates = 32 // of those that correlate, the best, whose calls are followed
)

// peer is one of them, with its pace before.
type peer struct {
	service *service
	before  float64 // requests a second
	now     float64 // requests in the seconds of the lump
}

// lump is traffic that waits for its peers': seconds of both that are tested as
// one. A second's end is known of all services in the next one.
type lump struct {
	seconds       float64
	served, usual float64
	last          counts  // of the second before
	at            int64   // that second
	kept          float64 // share of their traffic that the peers had of late
}

// choosePeers finds the watch's peers. A service whose calls are not known may
// be what peers get their traffic from, so it has none; nor has one that sends
// messages, for a broker does not tell who takes them. Who lives on messages is
// nobody's peer, nor is whom such a service calls: they may be, over any number
// of calls, what the deployed one set going.
func (w *watch) choosePeers() {
	own := trendless(&w.base.Recent)
	if own == nil || w.placebo != nil || !w.service.calls() || w.service.produces.Load() {
		return
	}
	type candidate struct {
		peer
		r float64
	}
	var found []candidate
	list := w.engine.list()
	slices.SortFunc(list, byKey)
	queued := w.engine.queued(list, w.service.key.environment)
	for _, s := range list[:min(len(list), maxPeerPool)] {
		if s == w.service || s.key.environment != w.service.key.environment || s.key.name == overflowService ||
			queued[s.key.name] || !s.unwatched() || s.frozen() || w.engine.open.Load()-s.lastActive.Load() > placeboSilent {
			continue
		}
		theirs := trendless(&s.history.Recent)
		if theirs == nil {
			continue
		}
		if r := correlation(own, theirs); r >= correlated {
			n, t := 0., 0.
			s.history.Recent.course(func(x, _ float64) { n, t = n+x, t+binSeconds })
			found = append(found, candidate{peer{service: s, before: n / t}, r})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.r, a.r) })
	for _, c := range found[:min(len(found), maxCandidates)] {
		if len(w.peers) == mostPeers {
			break
		}
		if !w.engine.hangTogether(w.service, c.service) {
			w.peers = append(w.peers, c.peer)
		}
	}
	if len(w.peers) < leastPeers {
		w.peers = nil
	}
}

// calls says whether calls of the service to others are known.
func (s *service) calls() bool {
	return slices.ContainsFunc(s.operations(), func(o *operation) bool { return o.aside.Kind == AsideCallee })
}

// takesMessages says whether most of its requests are messages.
func (s *service) takesMessages() bool {
	n, all := 0., 0.
	for _, o := range s.operations() {
		if int(o.index) >= len(s.history.Ops) || o.aside.Kind != NotAside {
			continue
		}
		all += s.history.Ops[o.index].N
		if o.queued.Load() {
			n += s.history.Ops[o.index].N
		}
	}
	return n > mostQueued*all
}

// queued are the names of the services that live on messages, and of all that
// these call.
func (e *Engine) queued(list []*service, environment string) map[string]bool {
	var from []*service
	for _, s := range list {
		if s.key.environment == environment && s.takesMessages() {
			from = append(from, s)
		}
	}
	return e.downstream(from)
}

// hangTogether says whether one of two services is known to call the other, be
// it by way of others.
func (e *Engine) hangTogether(a, b *service) bool {
	return e.downstream([]*service{a})[b.key.name] || e.downstream([]*service{b})[a.key.name]
}

// downstream are the names of services of one environment, and of all that they
// call, be it by way of others.
func (e *Engine) downstream(next []*service) map[string]bool {
	seen := map[string]bool{}
	for _, s := range next {
		seen[s.key.name] = true
	}
	for depth, followed := 0, 0; depth < peerDepth && followed < maxFollows; depth++ {
		var further []*service
		for _, s := range next {
			followed++
			for _, o := range s.operations() {
				name, ok := strings.CutPrefix(o.name, callsTo)
				if !ok || o.aside.Kind != AsideCallee || seen[name] {
					continue
				}
				seen[name] = true
				e.mu.RLock()
				callee := e.services[serviceKey{name, s.key.environment}]
				e.mu.RUnlock()
				if callee != nil {
					further = append(further, callee)
				}
			}
		}
		next = further
	}
	return seen
}

// besidePeers counts a second of the traffic beside that of the peers.
func (w *watch) besidePeers(i *indicator, sec int64, c counts) {
	x := &w.beside
	if x.at == sec-1 {
		x.seconds++
		x.served, x.usual = x.served+x.last.xc, x.usual+x.last.wc
		for k := range w.peers {
			if p := &w.peers[k]; p.service.spells[x.at&1].sec == x.at {
				p.now += p.service.spells[x.at&1].requests
			}
		}
	}
	x.last, x.at = c, sec
	if x.seconds < float64(max(binSeconds, 3*w.service.stride)) {
		return
	}
	x.kept = w.peersKeep(x.seconds)
	i.step(w, &i.levels[0], sec, counts{xc: x.served, wc: x.usual * x.kept, heavy: c.heavy}, false)
	x.seconds, x.served, x.usual = 0, 0, 0
	for k := range w.peers {
		w.peers[k].now = 0
	}
}

// peersKeep is what share of their traffic before the peers have: the median of
// those that were not deployed since. 1 without enough of them, and where they
// have more.
func (w *watch) peersKeep(seconds float64) float64 {
	shares := make([]float64, 0, mostPeers)
	for _, p := range w.peers {
		if p.service.unwatched() {
			shares = append(shares, p.now/(p.before*seconds))
		}
	}
	if len(shares) < leastPeers {
		return 1
	}
	slices.Sort(shares)
	return math.Min(math.Max(median(shares), profileLeast), 1)
}

// trendless is what is left of the last bins' requests without a linear trend;
// nil where they are too few.
func trendless(r *ring) []float64 {
	if r.Filled < peerBins {
		return nil
	}
	var y []float64
	r.course(func(n, _ float64) { y = append(y, n) })
	y = y[len(y)-peerBins:]
	n := float64(len(y))
	sum, slope := 0., 0.
	for k, v := range y {
		sum += v
		slope += (float64(k) - (n-1)/2) * v
	}
	if sum < peerLeast {
		return nil
	}
	slope /= n * (n*n - 1) / 12
	for k := range y {
		y[k] -= sum/n + slope*(float64(k)-(n-1)/2)
	}
	return y
}

// correlation is Pearson's, of values whose means are nought.
func correlation(a, b []float64) float64 {
	ab, aa, bb := 0., 0., 0.
	for k := range a {
		ab, aa, bb = ab+a[k]*b[k], aa+a[k]*a[k], bb+b[k]*b[k]
	}
	if aa <= 0 || bb <= 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// peersText says who the peers are; "" without any.
func (w *watch) peersText() string {
	if len(w.peers) == 0 {
		return ""
	}
	var names []string
	for _, p := range w.peers[:min(len(w.peers), peersNamed)] {
		names = append(names, p.service.key.name)
	}
	if more := len(w.peers) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	text := "; traffic beside that of " + strings.Join(names, ", ")
	if w.beside.kept > 0 {
		text += ", which have " + percent(w.beside.kept) + " of theirs"
	}
	return text
}
