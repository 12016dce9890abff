package suspect

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Options steer the ranking.
type Options struct {
	// PathPrefixes are the service's folders in the repository
	// ("services/cart"): a path told by a runtime is looked for below them too.
	PathPrefixes []string
	// Threshold is the probability below which no commit is named; default .5.
	Threshold float64
	// Ignored are commits to rule down, as .git-blame-ignore-revs lists them.
	Ignored []string
	// Owners tells who owns a path of the repository; nil: nobody is known.
	Owners func(path string) []string
	// Source leads a frame of a bundle to where it was built of, as source maps
	// tell; nil: frames are as they are.
	Source func(event.Frame) (event.Frame, bool)
	// Weights replace the fitted ones, for measurements.
	Weights *Weights
}

// DefaultThreshold is the probability below which no commit is named.
const DefaultThreshold = .5

// Penalties in nats: not so large that overwhelming evidence could not
// outweigh a wrong rule, and large enough that nothing else can.
const (
	penaltyReverted = 8
	penaltyIgnored  = 4
)

// usualChurn is the median of the candidates' churn.
func usualChurn(all []evidence) float64 {
	churn := make([]float64, len(all))
	for i := range all {
		churn[i] = all[i].Vector[featChurn]
	}
	slices.Sort(churn)
	return churn[len(churn)/2]
}

// Rank orders the commits (newest first, children before parents) by the
// probability that what each changed caused the symptom, beside the hypothesis
// that something else did. All commits are in the answer, most probable first.
func Rank(s Symptom, commits []Commit, o Options) event.Suspicion {
	result := event.Suspicion{Suspects: []event.Suspect{}, Commits: len(commits), Abstained: true}
	if len(commits) == 0 {
		return result
	}
	w := Default
	if o.Weights != nil {
		w = *o.Weights
	}
	threshold := o.Threshold
	if threshold <= 0 {
		threshold = DefaultThreshold
	}
	all := weigh(newQuery(s, o), commits, o)
	undone := revertedInside(commits)

	scores := make([]float64, len(commits))
	for i := range all {
		scores[i] = w.score(all[i].Vector)
		if undone[i] != "" {
			scores[i] -= penaltyReverted
		}
		if ignored(commits[i].Revision, o.Ignored) {
			scores[i] -= penaltyIgnored
		}
	}
	probabilities := posterior(scores, w.Other)
	w.correct(probabilities, func(i int) Vector { return all[i].Vector })
	order := make([]int, len(commits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	usual := usualChurn(all)
	for _, i := range order {
		suspect := event.Suspect{Change: commits[i].Change, Probability: probabilities[i]}
		explain(&suspect, &commits[i], &all[i], w, usual)
		if undone[i] != "" {
			suspect.Reasons = append([]string{"taken back inside the range: " + undone[i]}, suspect.Reasons...)
		}
		if ignored(commits[i].Revision, o.Ignored) {
			suspect.Reasons = append(suspect.Reasons, "listed in .git-blame-ignore-revs: counts less")
		}
		if len(result.Suspects) < maxOwned {
			suspect.Owners = owners(suspect.File, &commits[i], o)
		}
		result.Suspects = append(result.Suspects, suspect)
	}
	result.Abstained = result.Suspects[0].Probability < threshold
	return result
}

// Vectors are the candidates in numbers, in the order of commits: what weights
// are fitted on.
func Vectors(s Symptom, commits []Commit, o Options) []Vector {
	vectors := make([]Vector, len(commits))
	for i, e := range weigh(newQuery(s, o), commits, o) {
		vectors[i] = e.Vector
	}
	return vectors
}

func (w *Weights) score(v Vector) float64 {
	sum := 0.0
	for i, x := range v {
		sum += w.Feature[i] * x
	}
	return sum
}

// posterior is the softmax of the scores and of "something else".
func posterior(scores []float64, other float64) []float64 {
	top := other
	for _, s := range scores {
		top = max(top, s)
	}
	total := math.Exp(other - top)
	p := make([]float64, len(scores))
	for i, s := range scores {
		p[i] = math.Exp(s - top)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// revertedInside tells for each commit why it cannot matter: it was reverted
// later in the range and not brought back, or it only reverts such a one.
func revertedInside(commits []Commit) []string {
	notes := make([]string, len(commits))
	undone := make([]bool, len(commits))
	index := func(id string) int {
		for i := range commits {
			if id != "" && strings.HasPrefix(commits[i].Revision, id) {
				return i
			}
		}
		return -1
	}
	for r := range commits { // newest first: a revert that is itself reverted does nothing
		if undone[r] {
			continue
		}
		for _, id := range commits[r].Reverts {
			x := index(id)
			if x <= r || undone[x] {
				continue
			}
			back := slices.ContainsFunc(commits[:r], func(c Commit) bool {
				return c.PickedFrom != "" && strings.HasPrefix(commits[x].Revision, c.PickedFrom)
			})
			note := "reverted by " + event.ShortRevision(commits[r].Revision)
			if back {
				note += ", and brought back as another commit"
			}
			undone[x], notes[x] = true, note
			for _, i := range broughtIn(commits, x) {
				if !undone[i] {
					undone[i], notes[i] = true, note+" with the merge "+event.ShortRevision(commits[x].Revision)
				}
			}
			if len(commits[r].Reverts) == 1 {
				notes[r] = "it only reverts " + event.ShortRevision(commits[x].Revision) + " of the same range"
			}
		}
	}
	return notes
}

// broughtIn are the commits of the range that a merge brought to its first
// parent's line: a revert of the merge undoes them too.
func broughtIn(commits []Commit, merge int) []int {
	parents := commits[merge].Parents
	if len(parents) < 2 {
		return nil
	}
	// Newest first, children before parents: one pass finds what each line reaches.
	mainline, brought := map[string]bool{parents[0]: true}, map[string]bool{}
	for _, p := range parents[1:] {
		brought[p] = true
	}
	var found []int
	for i := merge + 1; i < len(commits); i++ {
		c := &commits[i]
		switch {
		case mainline[c.Revision]:
			for _, p := range c.Parents {
				mainline[p] = true
			}
		case brought[c.Revision]:
			found = append(found, i)
			for _, p := range c.Parents {
				brought[p] = true
			}
		}
	}
	return found
}

func ignored(revision string, list []string) bool {
	return slices.ContainsFunc(list, func(id string) bool { return len(id) >= 7 && strings.HasPrefix(revision, id) })
}

// match is samePath, helped by where the service lives in the repository.
func (o Options) match(told, repository string) float64 {
	if told == "" || repository == "" {
		return 0
	}
	best := samePath(told, repository)
	if best == 1 {
		return 1
	}
	told = strings.ReplaceAll(told, `\`, "/")
	for _, prefix := range o.PathPrefixes {
		rest, ok := strings.CutPrefix(repository, strings.Trim(prefix, "/")+"/")
		if ok && rest != "" && (told == rest || strings.HasSuffix(told, "/"+rest)) {
			return 1
		}
	}
	return best
}

// Sureness is what Sure weighs of a ranking: the index of the first candidate,
// the log odds of its probability, and whether there is direct evidence.
func Sureness(p []float64, vector func(int) Vector) (top int, logit, direct float64) {
	for i := range p {
		if p[i] > p[top] {
			top = i
		}
	}
	v := vector(top)
	direct = min(1, max(v[featLine], v[featTestLine], v[featFile], v[featLiteral], v[featFunction])/.4)
	bounded := min(max(p[top], 1e-6), 1-1e-6)
	return top, math.Log(bounded / (1 - bounded)), direct
}

// correct scales the candidates' probabilities so that the first has the one
// that Sure gives it; the order stays, and what is left is "something else".
func (w *Weights) correct(p []float64, vector func(int) Vector) {
	top, logit, direct := Sureness(p, vector)
	total := 0.0
	for _, x := range p {
		total += x
	}
	if total <= 0 || p[top] <= 0 {
		return
	}
	sure := 1 / (1 + math.Exp(-(w.Sure[0] + w.Sure[1]*logit + w.Sure[2]*direct)))
	scale := min(sure/p[top], 1/total)
	for i := range p {
		p[i] *= scale
	}
}

// Probabilities are those of the candidates and of "something else".
func (w *Weights) Probabilities(vectors []Vector) (candidates []float64, other float64) {
	scores := make([]float64, len(vectors))
	for i, v := range vectors {
		scores[i] = w.score(v)
	}
	candidates = posterior(scores, w.Other)
	other = 1
	for _, p := range candidates {
		other -= p
	}
	return candidates, max(other, 0)
}
