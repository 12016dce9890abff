package loopmetrics

import "github.com/deployloop/deployloop/internal/event"

// outcomes are the results of runs and tasks by what they ran and on which
// revision. What both failed and passed on one revision is a flake beyond
// doubt: the code did not change in between.
type outcomes map[string]*outcome

type outcome struct {
	failed, passed bool
	labels         []string
}

func (o outcomes) add(r event.PipelineRun, level string) {
	if r.Revision == "" || r.Result != "success" && r.Result != "failure" {
		return
	}
	key := r.Repository + "\xff" + r.Pipeline + "\xff" + r.Task + "\xff" + r.Revision
	if o[key] == nil {
		o[key] = &outcome{labels: []string{"pipeline", r.Pipeline, "level", level, "stage", string(r.Stage)}}
	}
	o[key].failed = o[key].failed || r.Result == "failure"
	o[key].passed = o[key].passed || r.Result == "success"
}

// collectFlakes counts each flake once.
func (t *Tracker) collectFlakes(o outcomes) {
	live := map[string]bool{}
	for key, seen := range o {
		if !seen.failed || !seen.passed {
			continue
		}
		live[key] = true
		if !t.flakes[key] {
			t.flaked.inc(seen.labels...)
		}
	}
	t.flakes = live
}
