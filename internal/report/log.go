package report

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/redact"
)

// Job is what the log of a build does not say itself.
type Job struct {
	Pipeline, Name string
	Passed         bool // it ended well: its log teaches what is usual
	// Known is what logs of the job that passed left behind. The log of one that
	// passed is taken into it. nil: nothing is known.
	Known *cilog.Baseline
}

// parseLog makes the log of a build the outcome of its job, with the lines that
// say why it failed.
func parseLog(p *parse) error {
	job := p.source.Job
	if job.Passed {
		known := cmp.Or(job.Known, new(cilog.Baseline))
		if err := known.Learn(p.in); err != nil {
			return err
		}
		return p.test(outcome(job, pass))
	}
	r, err := cilog.Explain(p.in, job.Known)
	if r.Lines == 0 {
		return cmp.Or(err, errors.New("it is empty"))
	}
	t := Cause(job, r)
	if r.Cut > 0 {
		p.problem("%d lines are longer than what is looked at of one", r.Cut)
	}
	if failure := p.test(t); failure != nil {
		return failure
	}
	return err
}

func outcome(job Job, status string) event.TestResult {
	return event.TestResult{Suite: job.Pipeline, Case: "[" + cmp.Or(job.Name, "run") + "]", Status: status}
}

// Limits of what is told of a cause.
const (
	causeBlocks = 3
	causeLines  = 5 // of a block
	// shortLine leaves room within maxMessage for all of them, and for the reasons.
	shortLine = 160
)

// Cause is the failure of a job, with the likeliest lines of its log, what speaks
// for them, and the place and stack of own code.
func Cause(job Job, r cilog.Result) event.TestResult {
	t := outcome(job, fail)
	t.Message = causeOf(&t, r, maxMessage)
	if len(t.Message) > maxMessage { // each of its lines says something, so none costs another its place
		t.Message = cut(causeOf(&t, r, shortLine), maxMessage)
	}
	return t
}

// causeOf writes the blocks with lines of at most so many bytes, and notes the first
// place of own code.
func causeOf(t *event.TestResult, r cilog.Result, line int) string {
	if len(r.Blocks) == 0 {
		return fmt.Sprintf("none of the %d lines of its log says why", r.Lines)
	}
	var message strings.Builder
	for _, b := range r.Best(causeBlocks) {
		where := fmt.Sprintf("line %d", b.From)
		if b.To > b.From {
			where = fmt.Sprintf("lines %d–%d", b.From, b.To)
		}
		fmt.Fprintf(&message, "%s of the log (%s):\n", where, strings.Join(b.Reasons, ", "))
		text := redact.Text(b.Text()) // whole: a key has many lines
		shown := strings.Split(text, "\n")
		numbered := b.Omitted == 0 && len(shown) == len(b.Lines) // else a secret of many lines is gone
		for i, said := range shown {
			if i == causeLines {
				fmt.Fprintf(&message, "  … and %d more\n", len(b.Lines)+b.Omitted-causeLines)
				break
			}
			if numbered {
				fmt.Fprintf(&message, "  %d:", b.Lines[i].Number)
			} else {
				message.WriteString(" ")
			}
			message.WriteString(" " + cut(printable(said), line) + "\n")
		}
		if b.Frame != nil && t.Stacktrace == "" {
			t.File, t.Line, t.Stacktrace = b.Frame.File, b.Frame.Line, text
		}
	}
	return strings.TrimSuffix(message.String(), "\n")
}
