package main

import (
	"fmt"
	"path/filepath"
	"strings"

	suspects "github.com/deployloop/deployloop/internal/suspect/backtest"
)

// commits measures the ranking of commits on recorded regressions. Its floors
// are those of internal/suspect's own test, and make suspects tells more.
func commits(root string) ([]suspects.Report, error) {
	cases, err := suspects.Load(filepath.Join(root, "data", "commits", "cases.json"))
	if err != nil {
		return nil, err
	}
	return suspects.CrossValidate(cases), nil
}

func reportCommits(p func(string, ...any), reports []suspects.Report) {
	if len(reports) == 0 {
		return
	}
	p("## Suspect commits")
	p("")
	p("Recorded regressions with 20 candidate commits each. Ours is cross-validated by repository, and ties share their places (`docs/suspects.md`, `make suspects`).")
	p("")
	p("| cases | ranking | top-1 | top-3 | MRR |")
	p("|---|---|---|---|---|")
	for _, r := range reports {
		for _, m := range append([]suspects.Method{r.Ours}, r.Baselines...) {
			p("| %d %s | %s | %.1f %% | %.1f %% | %.3f |", m.Cases, r.Set, m.Name, 100*m.Top1, 100*m.Top3, m.Reciprocal)
		}
	}
	p("")
	for _, r := range reports {
		var curve []string
		for _, point := range r.Curve {
			curve = append(curve, fmt.Sprintf("%.0f at %.0f %%", 100*point.Precision, 100*point.Coverage))
		}
		p("Precision at coverage, %s: %s. A commit is named in %.0f %%, rightly in %.0f %% of these.", r.Set, strings.Join(curve, ", "), 100*r.Named, 100*r.NamedRight)
		p("")
	}
}
