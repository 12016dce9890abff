package judge

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// maxMendable bounds the broken reports of a commit that whole ones may replace;
// with more of them the commit stays without a verdict.
const maxMendable = 50

// breaks notes a report that breaks off. Sent again, and broken again, it is one.
func (r *openRun) breaks(p event.Report) {
	b := event.BrokenReport{Kind: p.Kind, Name: p.Name, Tests: p.Tests, Findings: p.Findings}
	if names := slices.Concat(p.Suites, p.Tools); len(names) > 0 {
		b.First = names[0]
	}
	again := func(x event.BrokenReport) bool {
		return x.Kind == b.Kind && x.Name == b.Name && (x.First == b.First || tells(p, x.First))
	}
	switch {
	case slices.ContainsFunc(r.unread, again), slices.ContainsFunc(r.before.Mendable, again):
	case len(r.unread)+len(r.before.Mendable) >= maxMendable:
		r.broken++
	default:
		r.unread = append(r.unread, b)
	}
}

// mends forgets the broken reports that a whole one replaces: of the same kind and
// name, telling of what they told of, and of no less. The run need not be the same:
// it is the same commit.
func (r *openRun) mends(p event.Report) {
	whole := func(x event.BrokenReport) bool {
		return x.Kind == p.Kind && x.Name == p.Name && p.Tests >= x.Tests && p.Findings >= x.Findings && tells(p, x.First)
	}
	r.unread = slices.DeleteFunc(r.unread, whole)
	if left := slices.DeleteFunc(slices.Clone(r.before.Mendable), whole); len(left) < len(r.before.Mendable) {
		r.before.Broken -= len(r.before.Mendable) - len(left)
		r.before.Mendable = left
	}
}

// tells whether a report tells of a suite or tool; "": it is of a kind without.
func tells(p event.Report, name string) bool {
	return name == "" || slices.Contains(p.Suites, name) || slices.Contains(p.Tools, name)
}
