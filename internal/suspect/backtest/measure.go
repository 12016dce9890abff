package backtest

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/logpattern"
	"github.com/deployloop/deployloop/internal/suspect"
)

// Scores are how well a method orders the candidates. Candidates that a method
// cannot tell apart share their places: the score is the expectation over all
// their orders, so that no method gains by the order of the file.
type Scores struct {
	Cases      int     `json:"cases"`
	Top1       float64 `json:"top1"` // share of cases
	Top3       float64 `json:"top3"`
	Reciprocal float64 `json:"mrr"` // mean of 1/place
}

// Point is a point of the precision–coverage curve: of the cases that are most
// certain, how many are right.
type Point struct {
	Coverage  float64 `json:"coverage"`
	Precision float64 `json:"precision"`
	Threshold float64 `json:"threshold"` // the least probability among them
}

// Method is a ranking's figures.
type Method struct {
	Name string `json:"name"`
	Scores
}

// Report is all that is measured on one set of cases.
type Report struct {
	Set       string   `json:"set"`
	Ours      Method   `json:"ours"`
	Baselines []Method `json:"baselines"`
	Curve     []Point  `json:"curve"` // at each tenth of the cases
	// Named is the share of cases in which a commit is named (no abstention)
	// and NamedRight how many of those are right.
	Named      float64  `json:"named"`
	NamedRight float64  `json:"named_right"`
	Ceiling    Ceiling  `json:"ceiling"`
	Missed     []string `json:"missed,omitempty"` // cases beyond the first three
}

// Ceiling says how much the cases' own data can carry.
type Ceiling struct {
	// Connected is the share of cases whose culprit changes a file that the
	// trace or the failing tests name in any way (file, class under test,
	// folder, or a word of its path or message).
	Connected float64 `json:"connected"`
	// Named is the share whose culprit changes a file of the trace or the class under test.
	Named float64 `json:"named"`
}

// prediction is a case as a ranking saw it.
type prediction struct {
	c      *Case
	scores []float64
	top    int
	sure   float64
}

// CrossValidate ranks every case with weights fitted on the other
// repositories' cases only, and reports on those of a set.
func CrossValidate(cases []Case) []Report {
	byRepository := map[string]suspect.Weights{}
	all := prepare(cases)
	for _, repository := range repositories(cases) {
		others := slices.DeleteFunc(slices.Clone(all), func(c prepared) bool { return c.repository == repository })
		byRepository[repository] = fitAll(others)
	}
	var reports []Report
	for _, set := range []struct {
		name   string
		traced bool
	}{{"with a stack trace", true}, {"with names of failing tests only", false}} {
		var predictions []prediction
		for i := range cases {
			c := &cases[i]
			if c.Traced != set.traced {
				continue
			}
			weights := byRepository[c.Repository]
			predictions = append(predictions, predict(c, weights))
		}
		if len(predictions) > 0 {
			reports = append(reports, report(set.name, predictions))
		}
	}
	return reports
}

func repositories(cases []Case) []string {
	var names []string
	for _, c := range cases {
		if !slices.Contains(names, c.Repository) {
			names = append(names, c.Repository)
		}
	}
	slices.Sort(names)
	return names
}

// predict ranks by the product's own entry point.
func predict(c *Case, w suspect.Weights) prediction {
	ranking := suspect.Rank(c.Symptom, c.Commits, suspect.Options{Weights: &w})
	p := prediction{c: c, scores: make([]float64, len(c.Commits)), top: -1, sure: ranking.Suspects[0].Probability}
	for _, s := range ranking.Suspects {
		i := slices.IndexFunc(c.Commits, func(x suspect.Commit) bool { return x.Revision == s.Change.Revision })
		p.scores[i] = s.Probability
		if p.top < 0 {
			p.top = i
		}
	}
	return p
}

func report(name string, predictions []prediction) Report {
	r := Report{Set: name}
	all := make([]placed, len(predictions))
	for i, p := range predictions {
		all[i] = place(p.scores, p.c.Answer)
		if all[i].top3 < .5 {
			r.Missed = append(r.Missed, p.c.ID)
		}
		if p.sure >= suspect.DefaultThreshold {
			r.Named++
			if p.top == p.c.Answer {
				r.NamedRight++
			}
		}
	}
	if r.Named > 0 {
		r.NamedRight /= r.Named
	}
	r.Named /= float64(len(predictions))
	r.Ours = Method{"deployloop", mean(all)}
	for _, b := range baselines {
		for i, p := range predictions {
			all[i] = place(b.scores(p.c), p.c.Answer)
		}
		r.Baselines = append(r.Baselines, Method{b.name, mean(all)})
	}
	r.Curve = curve(predictions)
	r.Ceiling = ceiling(predictions)
	return r
}

type placed struct{ top1, top3, reciprocal float64 }

// place is the expectation over the orders of equal scores.
func place(scores []float64, answer int) placed {
	above, equal := 0, 0
	for i, s := range scores {
		switch {
		case i == answer:
		case s > scores[answer]:
			above++
		case s == scores[answer]:
			equal++
		}
	}
	var p placed
	share := 1 / float64(equal+1)
	for k := range equal + 1 {
		at := above + k + 1
		p.reciprocal += share / float64(at)
		if at == 1 {
			p.top1 += share
		}
		if at <= 3 {
			p.top3 += share
		}
	}
	return p
}

func mean(all []placed) Scores {
	s := Scores{Cases: len(all)}
	n := float64(len(all))
	for _, p := range all {
		s.Top1 += p.top1 / n
		s.Top3 += p.top3 / n
		s.Reciprocal += p.reciprocal / n
	}
	return s
}

func curve(predictions []prediction) []Point {
	order := slices.Clone(predictions)
	slices.SortStableFunc(order, func(a, b prediction) int { return cmp.Compare(b.sure, a.sure) })
	var points []Point
	for tenth := 1; tenth <= 10; tenth++ {
		n := (len(order)*tenth + 9) / 10 // at least the tenth
		right := 0
		for _, p := range order[:n] {
			if p.top == p.c.Answer {
				right++
			}
		}
		points = append(points, Point{float64(n) / float64(len(order)), float64(right) / float64(n), order[n-1].sure})
	}
	return points
}

func ceiling(predictions []prediction) Ceiling {
	var c Ceiling
	n := float64(len(predictions))
	for _, p := range predictions {
		v := suspect.Vectors(p.c.Symptom, p.c.Commits, suspect.Options{})[p.c.Answer]
		named, connected := false, false
		for k, name := range suspect.FeatureNames {
			if v[k] <= 0 {
				continue
			}
			switch name {
			case "line", "file", "subject":
				named, connected = true, true
			case "package", "path_words", "text_words", "test_file", "test_frame", "function", "literal":
				connected = true
			}
		}
		if named {
			c.Named += 1 / n
		}
		if connected {
			c.Connected += 1 / n
		}
	}
	return c
}

// baselines are what people do without a model.
var baselines = []struct {
	name   string
	scores func(*Case) []float64
}{
	{"uniform", func(c *Case) []float64 { return make([]float64, len(c.Commits)) }},
	{"most recent", func(c *Case) []float64 {
		scores := make([]float64, len(c.Commits))
		for i := range scores {
			scores[i] = float64(-i)
		}
		return scores
	}},
	{"largest diff", func(c *Case) []float64 {
		scores := make([]float64, len(c.Commits))
		for i, commit := range c.Commits {
			for _, f := range commit.Files {
				scores[i] += float64(f.Added + f.Removed)
			}
		}
		return scores
	}},
	{"stack-file match", stackFile},
	{"blame line", func(c *Case) []float64 {
		scores := make([]float64, len(c.Commits))
		for depth, i := range c.Blamed {
			if i >= 0 {
				scores[i] = max(scores[i], 1/float64(depth+1))
			}
		}
		return scores
	}},
}

// stackFile counts by how high in the trace the first file is that a commit
// changed; without a trace, whether it changed the file of a failing test or
// of the class the test is named after.
func stackFile(c *Case) []float64 {
	scores := make([]float64, len(c.Commits))
	var names []string
	for _, f := range logpattern.ParseStack(c.Symptom.Text) {
		if f.File != "" && logpattern.InApp(f) {
			names = append(names, strings.TrimSuffix(path.Base(f.File), path.Ext(f.File)))
		}
	}
	if !c.Traced {
		for _, t := range c.Symptom.Tests {
			class := t[strings.LastIndexByte(t[:strings.IndexAny(t+"#", "#:")], '.')+1:]
			class = class[:strings.IndexAny(class+"#", "#:")]
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(class, "Test"), "IntegrationTest"), class)
		}
	}
	for i, commit := range c.Commits {
		for _, f := range commit.Files {
			base := path.Base(f.Path)
			if at := slices.Index(names, strings.TrimSuffix(base, path.Ext(base))); at >= 0 {
				scores[i] = max(scores[i], 1/float64(at+1))
			}
		}
	}
	return scores
}
