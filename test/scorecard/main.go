// Command scorecard measures the detection engine: seeded faults in simulated
// traffic, placebo deployments, recorded data, and beside it what others do on
// the same input. It writes docs/scorecard.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	logs "github.com/deployloop/deployloop/internal/cilog/backtest"
	suspects "github.com/deployloop/deployloop/internal/suspect/backtest"
)

// recordedResults are what was measured on recorded data.
type recordedResults struct {
	found    bool
	rollouts []rollout
	canary   []canaryResult
	series   []seriesResult
	ciLogs   []logs.Row
	commits  []suspects.Report
	grouping []systemAccuracy
	nab      *nabResult
}

type systemAccuracy struct {
	system   string
	accuracy float64
}

// recorded measures on the recorded data, of the anomalies each nth series.
func recorded(ctx context.Context, root, temp string, seed uint64, nth int) (recordedResults, error) {
	r := recordedResults{found: true}
	var err error
	if r.rollouts, err = rollouts(ctx, root, temp); err != nil {
		return r, err
	}
	if r.canary, err = canaryCases(root); err != nil {
		return r, err
	}
	if r.series, err = benchmarkSeries(root, seed); err != nil {
		return r, err
	}
	if r.nab, err = nab(root, nth); err != nil {
		return r, err
	}
	systems, err := filepath.Glob(filepath.Join(root, "data", "log-templates", "*", "*_structured.csv"))
	if err != nil {
		return r, err
	}
	for _, file := range systems {
		a, err := grouping(filepath.Dir(file))
		if err != nil {
			return r, err
		}
		r.grouping = append(r.grouping, systemAccuracy{filepath.Base(filepath.Dir(file)), a})
	}
	return r, nil
}

func main() {
	seed := flag.Uint64("seed", 1, "of all that is random")
	out := flag.String("out", "", "file to write (default: standard output)")
	command := flag.String("command", "make scorecard", "the command to name in the report")
	placebos := flag.Int("placebos", full.Placebos, "placebo deployments")
	repeats := flag.Int("repeats", full.Repeats, "runs of each scenario of the suite; 0: a spread of them")
	runs := flag.Int("runs", full.Targets, "runs of each target")
	restless := flag.Int("restless", full.Restless, "placebo deployments of each kind of restless traffic")
	flag.Parse()
	began := time.Now()
	if err := run(*seed, size{*placebos, *repeats, *runs, *restless}, *out, *command); err != nil {
		fmt.Fprintln(os.Stderr, "scorecard:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "scorecard: done in %s\n", time.Since(began).Round(time.Second))
}

func run(seed uint64, z size, out, command string) error {
	temp, err := os.MkdirTemp("", "deployloop-scorecard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	var rec recordedResults
	if root, ok := shared(); ok {
		if rec, err = recorded(context.Background(), root, temp, seed, 1); err != nil {
			return err
		}
		if rec.ciLogs, err = ciLogs(root); err != nil {
			return err
		}
		if rec.commits, err = commits(root); err != nil {
			return err
		}
	}
	seeded := suite(z, seed)
	text := card(command, seeded, rec)
	if out == "" {
		_, err = os.Stdout.WriteString(text)
	} else {
		err = os.WriteFile(out, []byte(text), 0o644)
	}
	if err != nil {
		return err
	}
	var missed []string
	for _, t := range targets(seeded, rec) {
		if !t.met {
			missed = append(missed, fmt.Sprintf("%s: %s, where %s is asked", t.what, t.got, t.goal))
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("below the goal:\n%s", strings.Join(missed, "\n"))
	}
	return nil
}
