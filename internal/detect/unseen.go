package detect

import (
	"cmp"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// maxVanishedTemplates bounds the log templates that are watched for vanishing.
const maxVanishedTemplates = 20

// prepareTemplates watches the log templates that come all the time for
// vanishing. Code that logs no more is often meant so: what vanishes is shown,
// with its evidence, and is no part of the deployment's. Fewer lines of ERROR
// and above are no loss.
func (w *watch) prepareTemplates(work *spreading) {
	if w.placebo != nil || w.base.Bins < 6 {
		return
	}
	var list []int32
	for k := range w.base.Patterns {
		p, known := &w.base.Patterns[k], w.patternAt(int32(k))
		if k != otherIndex && known.kind == event.SignalLog && !known.harm && p.Bins >= .8*w.base.Bins {
			list = append(list, int32(k))
		}
	}
	slices.SortStableFunc(list, func(a, b int32) int { return cmp.Compare(w.base.Patterns[b].Count, w.base.Patterns[a].Count) })
	left := maxVanishedTemplates
	for _, k := range list {
		if left == 0 {
			break
		}
		if !work.shared(k, true) {
			continue
		}
		left--
		i := w.newIndicator(event.SignalThroughput, -1, k, classTail)
		w.counts[classTail]--
		i.share = 0
		w.filePattern(i)
	}
}

// onlyShown says that an indicator is no part of the deployment's evidence.
func (i *indicator) onlyShown() bool { return i.share == 0 }

// Unseen is Good and Turing's estimate of how much was never seen: of the kinds
// of errors (exceptions, and log templates of ERROR and above) those that came
// once make up f₁/N of all N occurrences, and about so large a share of further
// ones is of kinds that never came before. Where it is large, a kind that is
// new says little of a deployment.
type Unseen struct {
	Kinds       int     `json:"kinds"`
	Occurrences float64 `json:"occurrences"`  // N
	Singletons  float64 `json:"singletons"`   // f₁
	MissingMass float64 `json:"missing_mass"` // f₁/N
}

// unseen is that of the control's past, or without one, of the new version.
// History fades: what is left of a kind counts as one occurrence at most if it
// is no more.
func (w *watch) unseen() *Unseen {
	out := &Unseen{}
	count := func(k int, n float64) {
		if k == otherIndex || n <= 0 || !w.patternAt(int32(k)).harm {
			return
		}
		out.Kinds++
		out.Occurrences += n
		if n <= 1 {
			out.Singletons += n
		}
	}
	if w.base.Requests+w.base.Lines > 0 {
		for k := range w.base.Patterns {
			count(k, w.base.Patterns[k].Count)
		}
	} else {
		for k := range w.hits {
			count(k, w.hits[k].new)
		}
	}
	if out.Occurrences == 0 {
		return nil
	}
	out.MissingMass = out.Singletons / out.Occurrences
	return out
}
