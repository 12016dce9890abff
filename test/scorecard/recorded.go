package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/internal/backtest"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"

	"go.uber.org/zap"
)

// shared finds the folder of recorded data above the working directory.
func shared() (string, bool) {
	at, err := os.Getwd()
	for err == nil {
		path := filepath.Join(at, "..", "shared")
		if _, err := os.Stat(filepath.Join(path, "data", "rollouts")); err == nil {
			return path, true
		}
		if filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	return "", false
}

// rollout is one recorded incident and who is blamed for it.
type rollout struct {
	name, defective, fault string
	ours                   string // the deployment with most evidence
	verdict                string // of the defective one
	nats                   float64
	blamed                 []string        // good deployments called regressed
	naive                  string          // the last deployment before the incident was noticed
	steepest               string          // the largest shift in its own gauges, in standard deviations
	ruled                  map[string]bool // blamed by the naive rule on success and latency
	deploys                int
	silent                 bool // the defective version sent no telemetry
}

// rollouts plays every recorded incident through the same path as
// `deployloop backtest`.
func rollouts(ctx context.Context, root, temp string) ([]rollout, error) {
	cases, err := filepath.Glob(filepath.Join(root, "data", "rollouts", "*"))
	if err != nil {
		return nil, err
	}
	var out []rollout
	for _, folder := range cases {
		into := filepath.Join(temp, filepath.Base(folder))
		if text, err := exec.CommandContext(ctx, "python3", filepath.Join(root, "tools", "rollouts_to_otlp.py"), folder, into).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", folder, err, text)
		}
		r, err := playRollout(ctx, into)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func playRollout(ctx context.Context, folder string) (rollout, error) {
	r := rollout{name: filepath.Base(folder)}
	var truth struct {
		Defective  string  `json:"defective"`
		Fault      string  `json:"fault"`
		DetectedAt float64 `json:"detected_at"`
	}
	raw, err := os.ReadFile(filepath.Join(folder, "truth.json"))
	if err == nil {
		err = json.Unmarshal(raw, &truth)
	}
	if err != nil {
		return r, err
	}
	r.defective, r.fault = truth.Defective, truth.Fault
	f, err := os.Open(filepath.Join(folder, "deploys.jsonl"))
	if err != nil {
		return r, err
	}
	defer f.Close()
	deploys, _, err := backtest.ReadDeploys(f)
	if err != nil {
		return r, err
	}
	r.deploys = len(deploys)
	telemetry := filepath.Join(folder, "telemetry.jsonl")
	in, err := backtest.Read(ctx, []string{telemetry}, nil, 256<<20, nil)
	if err != nil {
		return r, err
	}
	defer in.Close()
	best := math.Inf(-1)
	config := anomalyconnector.NewFactory().CreateDefaultConfig().(*anomalyconnector.Config)
	var replay *anomalyconnector.Replay
	err = in.Play(ctx, func(start time.Time) backtest.Detector {
		replay = anomalyconnector.NewReplay(config, start, false, zap.NewNop())
		return replay
	}, backtest.Options{Deploys: deploys, Emit: func(l backtest.Line) error {
		if !l.Final {
			return nil
		}
		if l.Nats > best {
			best, r.ours = l.Nats, l.Deployment.ID
		}
		switch {
		case l.Deployment.ID == r.defective:
			r.verdict, r.nats, r.silent = l.Verdict, l.Nats, l.Reason == string(event.ReasonNoData)
		case l.Verdict == string(event.Regressed):
			r.blamed = append(r.blamed, l.Deployment.ID)
		}
		return nil
	}})
	if replay != nil {
		replay.Close()
	}
	if err != nil {
		return r, err
	}
	for _, d := range deploys {
		if float64(d.StartedAt.Unix()) <= truth.DetectedAt {
			r.naive = d.ID
		}
	}
	if r.ruled, err = naiveRule(telemetry, deploys); err != nil {
		return r, err
	}
	r.steepest, err = steepest(telemetry, deploys)
	return r, err
}

// steepest is the rule most dashboards come down to: the released service whose
// own gauges moved most after its release, in standard deviations of before.
func steepest(file string, deploys []backtest.Deploy) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	type attribute struct {
		Key   string
		Value struct{ StringValue string }
	}
	type metrics struct {
		ResourceMetrics []struct {
			Resource     struct{ Attributes []attribute }
			ScopeMetrics []struct {
				Metrics []struct {
					Name  string
					Gauge struct {
						DataPoints []struct {
							TimeUnixNano string
							AsDouble     float64
							Attributes   []attribute
						}
					}
				}
			}
		}
	}
	started := map[string]time.Time{}
	for _, d := range deploys {
		started[d.Service] = d.StartedAt
	}
	type halves struct{ before, after []float64 }
	series := map[[2]string]*halves{}
	for _, line := range strings.Split(string(raw), "\n") {
		var m metrics
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return "", err
		}
		for _, resource := range m.ResourceMetrics {
			service := ""
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.StringValue
				}
			}
			at, known := started[service]
			if !known {
				continue
			}
			for _, scope := range resource.ScopeMetrics {
				for _, g := range scope.Metrics {
					for _, p := range g.Gauge.DataPoints {
						key := g.Name
						for _, a := range p.Attributes {
							key += " " + a.Value.StringValue
						}
						h := series[[2]string{service, key}]
						if h == nil {
							h = &halves{}
							series[[2]string{service, key}] = h
						}
						if len(p.TimeUnixNano) > 9 && p.TimeUnixNano[:len(p.TimeUnixNano)-9] < fmt.Sprint(at.Unix()) {
							h.before = append(h.before, p.AsDouble)
						} else {
							h.after = append(h.after, p.AsDouble)
						}
					}
				}
			}
		}
	}
	keys := make([][2]string, 0, len(series))
	for k := range series {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i][0]+keys[i][1] < keys[j][0]+keys[j][1] })
	best, top := "", -1.
	for _, k := range keys {
		h := series[k]
		if len(h.before) < 5 || len(h.after) < 5 {
			continue
		}
		m, v := mean(h.before), 0.
		for _, x := range h.before {
			v += (x - m) * (x - m)
		}
		sd := math.Max(math.Sqrt(v/float64(len(h.before))), .01*math.Abs(m)+1e-9)
		if z := math.Abs(mean(h.after)-m) / sd; z > top {
			best, top = k[0], z
		}
	}
	return best, nil
}

// grouping measures the log templates of one system: the share of lines whose
// group holds exactly the lines of their true template.
func grouping(folder string) (float64, error) {
	matches, err := filepath.Glob(filepath.Join(folder, "*_structured.csv"))
	if err != nil || len(matches) != 1 {
		return 0, errors.Join(err, fmt.Errorf("%s: no single file of structured lines", folder))
	}
	f, err := os.Open(matches[0])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	reader := csv.NewReader(f)
	reader.LazyQuotes = true
	rows, err := reader.ReadAll()
	if err != nil {
		return 0, err
	}
	content, id := -1, -1
	for i, name := range rows[0] {
		switch name {
		case "Content":
			content = i
		case "EventId":
			id = i
		}
	}
	miner := logpattern.NewMiner(logpattern.Options{})
	truth, got, both := map[string]int{}, map[uint64]int{}, map[string]map[uint64]int{}
	for _, row := range rows[1:] {
		t, _ := miner.Add(row[content])
		key := uint64(0)
		if t != nil {
			key = t.Key()
		}
		truth[row[id]]++
		got[key]++
		if both[row[id]] == nil {
			both[row[id]] = map[uint64]int{}
		}
		both[row[id]][key]++
	}
	right := 0
	for event, groups := range both {
		for key, n := range groups {
			if whole := truth[event]; n == whole && got[key] == whole {
				right += n
			}
		}
	}
	return float64(right) / float64(len(rows)-1), nil
}
