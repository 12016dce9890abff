package main

import (
	"path/filepath"

	logs "github.com/deployloop/deployloop/internal/cilog/backtest"
)

// ciLogs measures the lines of failed builds' logs that are told for the cause.
// Its floors are those of internal/cilog's own test, and make cilogs tells more.
func ciLogs(root string) ([]logs.Row, error) {
	cases, err := logs.Load(filepath.Join(root, "data", "ci-logs"))
	if err != nil {
		return nil, err
	}
	return logs.Measure(cases)
}

func reportCILogs(p func(string, ...any), rows []logs.Row) {
	if len(rows) == 0 {
		return
	}
	p("## Logs of failed builds")
	p("")
	p("The lines that say why a build failed, of %d logs in which two people marked them; precision, recall and F1 are means over the logs, against what the second person marked and what both did. Ours is cross-validated by repository (`docs/builds.md`, `make cilogs`).", rows[0].Cases)
	p("")
	p("| who | logs | precision | recall | F1 | by both: precision | recall | F1 |")
	p("|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		second, both := r.By[1], r.By[2]
		p("| %s | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |", r.Name, r.Cases, second.Precision, second.Recall, second.F1, both.Precision, both.Recall, both.F1)
	}
	p("")
}
