package detect

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	movedLeast, movedMost = .7, 1.5 // of the vanished share that new names carry
	movedEvents           = 10.     // events that would have come under the old name, before anything is said
	maxMovedNames         = 3       // told for one old name
)

// A move is work that goes on under another name: an operation or a kind of
// inner work that vanished while names that the control never had carry its
// share of the requests.
type move struct {
	Pattern bool // of inner work; else operations
	From    int32
	To      int32 // the one name that took it over; -1: several did
	Text    string
}

// named is one name's share of the requests: the control's and the new cohort's.
type named struct {
	index       int32
	name        string
	was, is     float64
	failed, n   float64 // of the new cohort
	wasFailing  float64 // the control's share of failed ones
	hasErrors   bool
	wasVanished bool
}

// followMoves follows all that seems to vanish: every ten seconds, and before
// anything is said of it.
func (w *watch) followMoves(sec int64) {
	if w.state == event.Regressed || w.nats < w.threshold && sec%binSeconds != 0 {
		return
	}
	found := false
	for _, i := range slices.Clone(w.indicators) { // a rename changes the list
		if i.signal() == event.SignalThroughput && i.nats > 0 {
			found = w.follow(i, sec) || found
		}
	}
	if found {
		w.weighAll(sec)
	}
}

// follow looks where the work of a vanishing indicator went, and if it went on
// under another name, goes on with that one's: what did not vanish is no harm.
func (w *watch) follow(i *indicator, sec int64) bool {
	if i.op < 0 && i.pattern < 0 || i.cleared || len(w.moves) >= maxVanishing {
		return false
	}
	isPattern := i.pattern >= 0
	from := i.op
	if isPattern {
		from = i.pattern
	}
	names := w.names(isPattern)
	at := slices.IndexFunc(names, func(n named) bool { return n.index == from })
	if at < 0 {
		return false
	}
	old := names[at]
	lost := old.was - old.is
	if lost*w.newTotal < movedEvents || old.is > old.was/10 {
		return false
	}
	var fresh []named
	carried, vanished := 0., 0.
	for _, n := range names {
		switch {
		case n.was < n.is/10:
			carried += n.is
			if !slices.ContainsFunc(w.moves, func(m move) bool { return m.Pattern == isPattern && m.To == n.index }) {
				fresh = append(fresh, n)
			}
		case n.is < n.was/10 && n.wasVanished:
			vanished += n.was - n.is
		}
	}
	m := move{Pattern: isPattern, From: from, To: -1}
	best := -1
	for k, n := range fresh {
		if n.is >= movedLeast*lost && n.is <= movedMost*lost && n.within(old) && (best < 0 || alike(n.name, old.name) > alike(fresh[best].name, old.name)) {
			best = k
		}
	}
	switch {
	case best >= 0:
		m.To, m.Text = fresh[best].index, old.name+" moved to "+fresh[best].name
	case len(fresh) > 0 && carried >= movedLeast*vanished && carried <= movedMost*vanished && !slices.ContainsFunc(fresh, func(n named) bool { return !n.within(old) }):
		slices.SortStableFunc(fresh, func(a, b named) int { return alike(b.name, old.name) - alike(a.name, old.name) })
		var to []string
		for _, n := range fresh[:min(len(fresh), maxMovedNames)] {
			to = append(to, n.name)
		}
		if more := len(fresh) - len(to); more > 0 {
			to = append(to, fmt.Sprintf("%d more", more))
		}
		m.Text = old.name + " moved to " + strings.Join(to, ", ")
	default:
		return false
	}
	i.cleared, w.changed = true, true
	w.moves = append(w.moves, m)
	if !isPattern {
		w.rename(m, sec)
	}
	return true
}

// rename takes the old name's past and old cohort for the new name's control.
func (w *watch) rename(m move, sec int64) {
	for _, op := range []int32{m.From, m.To} { // what they measured so far had no counterpart
		if o := w.byOp[op]; o != nil {
			w.indicators = slices.DeleteFunc(w.indicators, func(i *indicator) bool { return i == o.errors || i == o.latency })
			delete(w.byOp, op)
		}
	}
	w.base = w.base.clone()
	if int(m.From) < len(w.base.Ops) {
		if m.To >= 0 {
			*w.base.op(m.To) = w.base.Ops[m.From]
		}
		w.base.Ops[m.From] = opHistory{}
	}
	if m.To < 0 {
		return
	}
	w.opIndicators(m.To)
	w.setTests(sec)
}

// renamed is the name under which the new cohort does what the control does as op.
func (w *watch) renamed(op int32) int32 {
	for _, m := range w.moves {
		if !m.Pattern && m.From == op && m.To >= 0 {
			return m.To
		}
	}
	return op
}

// within says whether a new name's errors are within tolerance of the old one's.
func (n *named) within(old named) bool {
	if !n.hasErrors || n.n == 0 {
		return true
	}
	most := math.Max(errorTolerance*old.wasFailing, old.wasFailing+errorRise) * n.n
	return n.failed <= most+2*math.Sqrt(most+1)
}

// names are all operations, or all kinds of inner work, with their shares.
func (w *watch) names(isPattern bool) []named {
	if w.newTotal == 0 {
		return nil
	}
	share := func(base, old float64) float64 {
		if w.oldTotal >= .05*w.base.Requests && w.oldTotal > 0 {
			return old / w.oldTotal
		}
		return base / math.Max(w.base.Requests, 1)
	}
	var out []named
	if isPattern {
		for k := range w.hits {
			p := w.patternAt(int32(k))
			if k == otherIndex || p.kind != signalWork {
				continue
			}
			past := 0.
			if k < len(w.base.Patterns) {
				past = w.base.Patterns[k].Count
			}
			i := w.ofPattern(int32(k))
			out = append(out, named{index: int32(k), name: p.operation, was: share(past, w.hits[k].old), is: w.hits[k].new / w.newTotal, wasVanished: i != nil})
		}
		return out
	}
	for _, o := range w.service.operations() {
		if o.index == otherIndex || o.aside.Kind != NotAside {
			continue
		}
		n := named{index: o.index, name: o.name, hasErrors: true}
		var past opHistory
		if int(o.index) < len(w.base.Ops) {
			past = w.base.Ops[o.index]
		}
		old := 0.
		if known := w.byOp[o.index]; known != nil && known.errors != nil {
			t := &known.errors.levels[0].total
			old, n.n, n.failed, n.wasVanished = t.ws, t.wc, t.xc, known.vanish != nil
			if past.N > 0 {
				n.wasFailing = past.Failed / past.N
			}
			if t.ws >= enoughControl {
				n.wasFailing = t.xs / t.ws
			}
		}
		n.was, n.is = share(past.N, old), n.n/w.newTotal
		out = append(out, n)
	}
	return out
}

// alike is how many bytes two names share at their ends.
func alike(a, b string) int {
	n, same := min(len(a), len(b)), 0
	for same < n && a[same] == b[same] {
		same++
	}
	for k := 1; k <= n-same && a[len(a)-k] == b[len(b)-k]; k++ {
		same++
	}
	return same
}

// movedText tells all moves; "" when there is none.
func (w *watch) movedText() string {
	text := ""
	for _, m := range w.moves {
		text += "; " + m.Text
	}
	return text
}
