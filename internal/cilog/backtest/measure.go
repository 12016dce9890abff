package backtest

import (
	"fmt"
	"strings"

	"github.com/deployloop/deployloop/internal/cilog"
)

// Score is how well chosen lines meet marked ones, as means over the logs.
type Score struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`      // of the two means
	MeanF1    float64 `json:"mean_f1"` // mean of the logs' own
}

func newScore(hit, chosen, marked float64) Score {
	var s Score
	if chosen > 0 {
		s.Precision = hit / chosen
	}
	if marked > 0 {
		s.Recall = hit / marked
	}
	s.F1 = harmonic(s.Precision, s.Recall)
	s.MeanF1 = s.F1
	return s
}

func harmonic(a, b float64) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}

func mean(list []Score) Score {
	var m Score
	for _, s := range list {
		m.Precision += s.Precision / float64(len(list))
		m.Recall += s.Recall / float64(len(list))
		m.MeanF1 += s.MeanF1 / float64(len(list))
	}
	m.F1 = harmonic(m.Precision, m.Recall)
	return m
}

// judge holds chosen lines against the marked ones. Lines that a mark names
// beyond the end of the log (nopol_1347 has one up to 908 of 624) do not count.
func (p prepared) judge(chosen []bool, truth int) Score {
	var hit, n float64
	for i, is := range chosen {
		if is {
			n++
			if p.marked[truth][i] {
				hit++
			}
		}
	}
	return newScore(hit, n, p.count[truth])
}

// Row is how one way to choose lines does, judged by what the first person
// marked, the second, and both.
type Row struct {
	Name  string        `json:"name"`
	Cases int           `json:"cases"`
	By    [truths]Score `json:"by"` // first, second, both
	Logs  []Log         `json:"logs"`
}

// Log is how a choice does in one log.
type Log struct {
	Name string        `json:"name"`
	By   [truths]Score `json:"by"`
}

func (r Row) String() string {
	s := fmt.Sprintf("%-46s %2d", r.Name, r.Cases)
	for _, x := range r.By {
		s += fmt.Sprintf("   %.2f %.2f  %.2f %.2f", x.Precision, x.Recall, x.F1, x.MeanF1)
	}
	return s
}

// Header names the columns of rows.
func Header() string {
	return fmt.Sprintf("%-46s %2s   %-20s   %-20s   %-20s\n%49s%s", "", "", "by the first", "by the second", "by both", "", strings.Repeat("   prec rec.  F1   mean", truths))
}

// row judges a choice for each case; nil leaves a case out.
func row(name string, cases []prepared, choose func(prepared) ([]bool, error)) (Row, error) {
	r := Row{Name: name}
	var lists [truths][]Score
	for _, c := range cases {
		chosen, err := choose(c)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.Name, err)
		}
		if chosen == nil {
			continue
		}
		r.Cases++
		log := Log{Name: c.Name}
		for t := range truths {
			log.By[t] = c.judge(chosen, t)
			lists[t] = append(lists[t], log.By[t])
		}
		r.Logs = append(r.Logs, log)
	}
	for t := range truths {
		r.By[t] = mean(lists[t])
	}
	return r, nil
}

// leftOut gives each case weights fitted on those of other groups only.
func leftOut(cases []prepared, group func(Case) string) func(prepared) ([]bool, error) {
	weights := map[string]cilog.Weights{}
	return func(c prepared) ([]bool, error) {
		name := group(c.Case)
		w, done := weights[name]
		if !done {
			var others []prepared
			for _, x := range cases {
				if group(x.Case) != name {
					others = append(others, x)
				}
			}
			w = fit(others)
			weights[name] = w
		}
		return cilog.Choose(c.scores(w), w.Threshold), nil
	}
}

func repository(c Case) string { return c.Repository }

// runner holds the logs of one CI together, so that nothing that is learnt of
// Jenkins judges Jenkins.
func runner(c Case) string { return map[bool]string{true: "actions", false: "jenkins"}[c.Actions] }

// Measure compares the ways to choose lines. Ours is cross-validated: no
// repository judges weights or a threshold that were fitted on it.
func Measure(cases []Case) ([]Row, error) {
	compared, err := prepare(cases, true)
	if err != nil {
		return nil, err
	}
	alone, err := prepare(cases, false)
	if err != nil {
		return nil, err
	}
	differences := map[string]difference{}
	differ := func(method func(difference) []bool) func(prepared) ([]bool, error) {
		return func(c prepared) ([]bool, error) {
			d, known := differences[c.Name]
			if !known {
				passed, err := lines(c.Passed)
				if err != nil {
					return nil, err
				}
				failed, err := lines(c.Failed)
				if err != nil {
					return nil, err
				}
				d = compare(passed, failed)
				differences[c.Name] = d
			}
			return method(d), nil
		}
	}
	actions := leftOut(compared, runner)
	var rows []Row
	for _, way := range []struct {
		name   string
		cases  []prepared
		choose func(prepared) ([]bool, error)
	}{
		{"cilog", compared, leftOut(compared, repository)},
		{"cilog, without a log that passed", alone, leftOut(alone, repository)},
		{"cilog, learnt on Jenkins, GitHub Actions", compared, func(c prepared) ([]bool, error) {
			if !c.Actions {
				return nil, nil
			}
			return actions(c)
		}},
		{"diff of the two logs", compared, differ(difference.plain)},
		{"that, less rewritten and moved lines (CiDiff)", compared, differ(difference.cidiff)},
		{"the first person", compared, func(c prepared) ([]bool, error) { return c.marked[first], nil }},
		{"the second person", compared, func(c prepared) ([]bool, error) { return c.marked[second], nil }},
	} {
		r, err := row(way.name, way.cases, way.choose)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}
