package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// canaryCase is one published case of a canary judge.
type canaryCase struct {
	Name      string
	Direction string
	Expected  string // Pass, High, Low, Nodata or, of a case about words, nothing
	Arrays    struct {
		ExperimentData []float64 `json:"experimentData"`
		ControlData    []float64 `json:"controlData"`
	}
}

// canaryResult is what a case's gauge says here.
type canaryResult struct {
	name      string
	n, m      int
	published string
	verdict   [2]event.VerdictState // of one instance a side, and of canaryPods
	nats      [2]float64
	p         float64 // of the rank test, two-sided where both ways are worse
	missing   bool    // the data set does not hold the new version's array
}

const (
	canaryPods = 5
	canaryStep = 10 // seconds between samples
)

// canaryCases plays the arrays as a gauge, worse as the case says: of one new
// and one old instance, and dealt out to five of each. The control's array is
// the past, and is played again beside the new version.
func canaryCases(root string) ([]canaryResult, error) {
	raw, err := os.ReadFile(filepath.Join(root, "data", "canary", "classifier_cases.json"))
	if err != nil {
		return nil, err
	}
	var cases []canaryCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		return nil, err
	}
	out := make([]canaryResult, len(cases))
	for i, c := range cases {
		fresh, old := c.Arrays.ExperimentData, c.Arrays.ControlData
		r := canaryResult{name: c.Name, n: len(fresh), m: len(old), published: c.Expected, p: 1}
		r.missing = len(fresh) == 0 && (c.Expected != "Nodata" && c.Expected != "" || len(old) == 0)
		for k, pods := range []int{1, canaryPods} {
			v := playCanary(c, pods)
			r.verdict[k], r.nats[k] = v.State, v.Nats
		}
		if r.n > 1 && r.m > 1 {
			z := rankZ(fresh, old)
			switch c.Direction {
			case "Increase":
				r.p = math.Erfc(z/math.Sqrt2) / 2
			case "Decrease":
				r.p = math.Erfc(-z/math.Sqrt2) / 2
			default:
				r.p = math.Erfc(math.Abs(z) / math.Sqrt2)
			}
		}
		out[i] = r
	}
	return out, nil
}

func playCanary(c canaryCase, pods int) event.Verdict {
	worse := map[string]detect.Worse{"Increase": detect.WorseHigher, "Decrease": detect.WorseLower}[c.Direction]
	e := detect.New(detect.Config{Start: time.Unix(start, 0)})
	sources := func(version string) (out []*detect.Source) {
		for i := range pods {
			out = append(out, e.Source(detect.Origin{Service: "s", Environment: "e", Version: version, Instance: version + "-" + strconv.Itoa(i)}))
		}
		return out
	}
	old, fresh, sec := sources("1"), sources("2"), start
	send := func(to []*detect.Source, x []float64, i int) {
		if i < len(x) {
			to[i%pods].Gauge(detect.Sample{Name: "metric", At: sec * 1e9, Value: x[i], Worse: worse, Golden: true})
		}
	}
	wait := func() {
		for range canaryStep {
			sec++
			e.Tick(time.Unix(sec, 0))
		}
	}
	for i := range c.Arrays.ControlData {
		send(old, c.Arrays.ControlData, i)
		wait()
	}
	e.Watch(event.Deployment{ID: "d", Service: "s", Environment: "e", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(sec, 0)}, event.Advise)
	for i := range max(len(c.Arrays.ExperimentData), len(c.Arrays.ControlData)) {
		send(fresh, c.Arrays.ExperimentData, i)
		send(old, c.Arrays.ControlData, i)
		wait()
	}
	v, _ := e.Verdict("d")
	return v
}

// harmful says whether the published verdict is one of harm.
func (r *canaryResult) harmful() bool { return r.published == "High" || r.published == "Low" }

// agrees says whether ours, of one instance a side or of several, is the same.
func (r *canaryResult) agrees(k int) bool {
	return r.harmful() == (r.verdict[k] == event.Regressed)
}

// why says what keeps us from agreeing.
func (r *canaryResult) why() string {
	least := 2.
	for i := 1; i <= r.n; i++ {
		least *= float64(i) / float64(r.m+i) // 2 / C(n+m, n)
	}
	switch {
	case r.missing:
		return "the data set does not hold its array"
	case r.agrees(0):
		return ""
	case !r.harmful():
		return "called here"
	case r.m < 20:
		return fmt.Sprintf("%d + %d points: no rank test can say so with less than %.1g, and a gauge is judged from 20 of its past on", r.n, r.m, least)
	case least > limitAlpha:
		return fmt.Sprintf("%d + %d points: no rank test can say so with less than %.1g", r.n, r.m, least)
	case r.p > limitAlpha:
		return fmt.Sprintf("the rank test's p = %.2g allows %.0f false alarms in 1000", r.p, 1000*r.p)
	case r.verdict[1] == event.Regressed:
		return "one instance a side: an instance may differ from another by itself; of five it is called"
	case r.nats[1] < 1:
		return "a small shift: within the margin that a gauge must exceed"
	}
	return "samples of few instances count as dependent"
}

type canaryTally struct {
	played, harmful, harmless      int
	found, foundOfMany             int // of the harmful
	called, calledOfMany, provable int // harmless ones called; harmful ones that a rank test could show at our α
}

func tallyCanary(list []canaryResult) (t canaryTally) {
	one := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	for i := range list {
		r := &list[i]
		if r.missing {
			continue
		}
		t.played++
		first, second := one(r.verdict[0] == event.Regressed), one(r.verdict[1] == event.Regressed)
		if r.harmful() {
			t.harmful++
			t.found += first
			t.foundOfMany += second
			t.provable += one(r.p <= limitAlpha)
		} else {
			t.harmless++
			t.called += first
			t.calledOfMany += second
		}
	}
	return t
}

func reportCanary(p func(string, ...any), list []canaryResult) {
	t := tallyCanary(list)
	p("## Published canary cases")
	p("")
	p("The arrays of a canary judge's tests with its verdicts, played as a gauge that may be worse as the case says, a sample every %d s: of one new and one old instance, and dealt out to %d of each. That judge calls one metric at p = 0.05; here a deployment is called at one false alarm in a thousand, and samples of one instance count as partly dependent.", canaryStep, canaryPods)
	p("")
	p("Of %d cases that can be played: **%d of the %d it passes are left alone** (%d, dealt out), **%d of the %d it calls are called** (%d, dealt out); a rank test at one in a thousand, with independent samples, could call %d. Agreement %d of %d (%d, dealt out).",
		t.played, t.harmless-t.called, t.harmless, t.harmless-t.calledOfMany, t.found, t.harmful, t.foundOfMany, t.provable,
		t.harmless-t.called+t.found, t.played, t.harmless-t.calledOfMany+t.foundOfMany)
	p("")
	p("| case | new, old points | published | here | nats | dealt out | nats | why they differ |")
	p("|---|---|---|---|---|---|---|---|")
	for i := range list {
		c := &list[i]
		published := c.published
		if published == "" {
			published = "–"
		}
		p("| %s | %d, %d | %s | %s | %.1f | %s | %.1f | %s |", c.name, c.n, c.m, published, c.verdict[0], c.nats[0], c.verdict[1], c.nats[1], c.why())
	}
	p("")
}
