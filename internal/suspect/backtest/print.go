package backtest

import (
	"fmt"
	"strings"

	"github.com/deployloop/deployloop/internal/suspect"
)

// String is the report as a table.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cases %s, 20 candidates each\n", r.Ours.Cases, r.Set)
	fmt.Fprintf(&b, "  %-18s %6s %6s %6s\n", "", "top-1", "top-3", "MRR")
	for _, m := range append([]Method{r.Ours}, r.Baselines...) {
		fmt.Fprintf(&b, "  %-18s %5.1f%% %5.1f%% %6.3f\n", m.Name, 100*m.Top1, 100*m.Top3, m.Reciprocal)
	}
	b.WriteString("  precision at coverage:")
	for _, p := range r.Curve {
		fmt.Fprintf(&b, "  %.0f%% at %.0f%%", 100*p.Precision, 100*p.Coverage)
	}
	fmt.Fprintf(&b, "\n  a commit is named in %.0f%%, rightly in %.0f%% of those\n", 100*r.Named, 100*r.NamedRight)
	fmt.Fprintf(&b, "  the culprit changes a file of the trace or the class under test in %.0f%%, and has anything in common with the symptom in %.0f%%\n",
		100*r.Ceiling.Named, 100*r.Ceiling.Connected)
	fmt.Fprintf(&b, "  not among the first three: %s\n", strings.Join(r.Missed, " "))
	return b.String()
}

// Describe is the weights as a table.
func Describe(w suspect.Weights) string {
	var b strings.Builder
	for k, name := range suspect.FeatureNames {
		fmt.Fprintf(&b, "  %-12s %6.2f  (prior %.2f)\n", name, w.Feature[k], suspect.Prior.Feature[k])
	}
	fmt.Fprintf(&b, "  %-12s %6.2f  (prior %.2f)\n", "other", w.Other, suspect.Prior.Other)
	fmt.Fprintf(&b, "  sure         %.2f + %.2f logit + %.2f direct\n", w.Sure[0], w.Sure[1], w.Sure[2])
	return b.String()
}
