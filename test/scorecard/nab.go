package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/detect"
)

// nabStep is the time that a sample of the Numenta benchmark stands for here:
// what gauges are exported at. Theirs are minutes to an hour apart.
const nabStep = 30 * time.Second

// nabResult is how the always-on channel does on the Numenta benchmark.
type nabResult struct {
	files, windows, found int
	falseAlarms           int
	score                 float64            // their standard profile, 0 = silent, 100 = perfect
	published             map[string]float64 // of others, from the benchmark's own results
}

// nab plays every series of the benchmark as one gauge that may be worse both
// ways, with nothing deployed, and scores by the benchmark's rules: the first
// 15 % of a series (at most 750 samples) are for learning, the first alarm in a
// window counts the more the earlier it is, others count against. Each nth series
// is played.
func nab(root string, nth int) (*nabResult, error) {
	folder := filepath.Join(root, "data", "series", "nab")
	raw, err := os.ReadFile(filepath.Join(folder, "labels", "combined_windows.json"))
	if err != nil {
		return nil, err
	}
	labels := map[string][][2]string{}
	if err := json.Unmarshal(raw, &labels); err != nil {
		return nil, err
	}
	out := &nabResult{published: map[string]float64{}}
	raws := 0.
	for k, file := range sortedKeys(labels) {
		if k%nth != 0 {
			continue
		}
		out.files++
		times, values, err := nabSeries(filepath.Join(folder, "data", file))
		if err != nil {
			return nil, err
		}
		windows := make([][2]int, len(labels[file]))
		for i, w := range labels[file] {
			for k := range w {
				at, err := time.Parse("2006-01-02 15:04:05.000000", w[k])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				windows[i][k], _ = slices.BinarySearchFunc(times, at, time.Time.Compare)
			}
		}
		alarms, err := nabAlarms(values)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		s, found, wrong := nabScore(alarms, windows, len(values))
		raws += s
		out.windows += len(windows)
		out.found += found
		out.falseAlarms += wrong
	}
	n := float64(out.windows)
	out.score = 100 * (raws + n) / (2 * n) // between silent, −1 a window, and perfect
	if raw, err = os.ReadFile(filepath.Join(folder, "results", "final_results.json")); err != nil {
		return nil, err
	}
	results := map[string]map[string]float64{}
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, err
	}
	for name, profiles := range results {
		out.published[name] = profiles["standard"]
	}
	return out, nil
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func nabSeries(path string) (times []time.Time, values []float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, row := range rows[1:] {
		at, err := time.Parse("2006-01-02 15:04:05", row[0])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		times, values = append(times, at), append(values, v)
	}
	return times, values, nil
}

// nabAlarms are the samples at which something was told to be wrong.
func nabAlarms(values []float64) (alarms []int, err error) {
	now := time.Unix(1_790_000_000, 0)
	engine := detect.New(detect.Config{Start: now})
	source := engine.Source(detect.Origin{Service: "nab", Environment: "test", Version: "1", Instance: "a"})
	open := false
	for i, v := range values {
		now = now.Add(nabStep)
		engine.Tick(now) // first: a sample ahead of the clock is refused
		source.Gauge(detect.Sample{Name: "value", At: now.UnixNano(), Value: v, Worse: detect.WorseBoth, Golden: true})
		for _, u := range engine.Unprompted() {
			if u.Open && !open {
				alarms = append(alarms, i)
			}
			open = u.Open
		}
	}
	if lost := engine.Status().Losses; len(lost) > 0 { // silence would prove nothing
		return nil, fmt.Errorf("samples were not used: %v", lost)
	}
	return alarms, nil
}

// nabScore is the benchmark's raw score of one series, standard profile.
func nabScore(alarms []int, windows [][2]int, n int) (score float64, found, wrong int) {
	const falseWeight = .11
	best := 2/(1+math.Exp(-5)) - 1 // of an alarm as a window begins
	reward := func(y float64) float64 {
		if y > 3 {
			return -1
		}
		return 2/(1+math.Exp(5*y)) - 1
	}
	probation := min(int(.15*float64(n)), 750)
	hit := make([]bool, len(windows))
	for _, at := range alarms {
		if at < probation {
			continue
		}
		inside, before := -1, -1
		for k, w := range windows {
			switch {
			case at >= w[0] && at <= w[1]:
				inside = k
			case at > w[1]:
				before = k
			}
		}
		switch {
		case inside >= 0 && hit[inside]:
		case inside >= 0:
			w := windows[inside]
			hit[inside] = true
			found++
			score += reward(-float64(w[1]-at+1)/float64(w[1]-w[0]+1)) / best
		case before >= 0:
			w := windows[before]
			wrong++
			score += falseWeight * reward(float64(at-w[1])/float64(max(w[1]-w[0], 1)))
		default:
			wrong++
			score -= falseWeight
		}
	}
	return score - float64(len(windows)-found), found, wrong
}

// nabReport writes its part of the scorecard.
func nabReport(p func(string, ...any), r *nabResult) {
	p("## Anomalies without a deployment")
	p("")
	p("The Numenta benchmark's %d series (`series/nab`), each played as one gauge that may be worse both ways, a sample every %s, with nothing deployed. Scored by its windows and its standard profile (0: silent; 100: perfect; the first 15 %% of a series are for learning). What is found are excursions of a gauge (`docs/detection.md`): it goes where it hardly ever was, and stays. These series are short for that: 4000 samples are 33 hours of a gauge, of which 80 excursions, a day or more, are learnt from, and series with a season or with steps are refused till they have come and gone many times. What lasts for a sample or two is nothing to tell of, at one false alarm in ten weeks of a service. Of other rules, counts of the samples beyond a quantile, which the channel has as well, find nothing here (the samples of one instance count as dependent). A variance–time curve of the gauge's own past in place of its intraclass correlation finds some of the windows, and alarms far beyond the budget beside them. Samples in a row beyond all of the past by a part of its range stay within the budget here, but alarm several times as often where a gauge has a long tail and a memory, as latencies have (log-normal noise, AR(1)); excursions of such a gauge were told 0 times in 400 weeks.", r.files, nabStep)
	p("")
	p("| detector | score | |")
	p("|---|---|---|")
	p("| deployloop, always-on | %.1f | %d of %d windows, %d false alarms |", r.score, r.found, r.windows, r.falseAlarms)
	names := sortedKeys(r.published)
	slices.SortStableFunc(names, func(a, b string) int {
		return int(math.Copysign(1, r.published[b]-r.published[a]))
	})
	for _, name := range names {
		p("| %s, as published with the data | %.1f | |", name, r.published[name])
	}
	p("")
}
