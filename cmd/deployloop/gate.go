package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// Exit codes of deployloop gate.
const (
	exitRegressed = 1
	exitUndecided = 2
	exitNotAsked  = 3 // the console could not be asked
)

// gateVerdict is the console's answer to /gate/argo.
type gateVerdict struct {
	Verdict       event.VerdictState `json:"verdict"`
	Calibrating   bool               `json:"calibrating"`
	Reason        string             `json:"reason"`
	Decision      string             `json:"decision"`
	Mode          event.Mode         `json:"mode,omitempty"`
	ETASeconds    float64            `json:"eta_seconds"`
	MinimumEffect map[string]float64 `json:"minimum_detectable_effect"`
	Deployment    string             `json:"deployment,omitempty"`
	URL           string             `json:"url"`
}

// gateRequest is what deployloop gate was asked to do.
type gateRequest struct {
	question                    url.Values
	wait, every                 time.Duration
	respectMode                 bool
	onInconclusive, unavailable string
	output                      string
}

func newGateCommand() *cobra.Command {
	var (
		request                                 gateRequest
		endpoint                                string
		service, environment, revision, version string
	)
	c := &cobra.Command{
		Use:   "gate --service S (--revision R | --version V)",
		Short: "Wait for a deployment's verdict and exit by it",
		Long: `Ask the console for the verdict of a deployment until there is one, and exit
by it:

  0  healthy, or exonerated (it got worse, but not because of this deployment)
  1  regressed
  2  inconclusive, or still watching when --wait was over
  3  the console could not be asked (see --on-unavailable)

No evidence is never a pass: a deployment that nobody knows, or that has no
telemetry, ends with 2 and the reason. With --respect-mode a service whose mode
is shadow or advise passes whatever its verdict says, as at the other gates.

The token of a console that wants one is read from ` + envConsoleToken + `.`,
		Example: `  deployloop gate --service checkout --version 1.42.0 --environment production --wait 10m

  # in a pipeline: roll back what got worse, stop at what cannot be told
  deployloop gate --service checkout --revision "$GITHUB_SHA" --wait 15m || {
    [ $? -eq 1 ] && helm rollback checkout; exit 1; }

  # the answer as JSON, asked once
  deployloop gate --service checkout --version 1.42.0 --output json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case service == "":
				return errors.New("say which service: --service, as its telemetry says in service.name")
			case revision == "" && version == "":
				return errors.New("say which deployment: --revision or --version")
			case request.output != "text" && request.output != "json":
				return fmt.Errorf("--output %s: use text or json", request.output)
			case request.wait < 0 || request.every < time.Second:
				return errors.New("--wait must not be negative and --every not below 1s")
			}
			for flag, value := range map[string]string{"--on-inconclusive": request.onInconclusive, "--on-unavailable": request.unavailable} {
				if value != "fail" && value != "pass" && value != "wait" {
					return fmt.Errorf("%s %s: use fail, pass or wait", flag, value)
				}
			}
			client, err := newConsoleClient(endpoint)
			if err != nil {
				return err
			}
			c.SilenceUsage = true // what follows is no error of the command line
			request.question = url.Values{"service": {service}}
			for key, value := range map[string]string{"environment": environment, "revision": revision, "version": version} {
				if value != "" {
					request.question.Set(key, value)
				}
			}
			if !request.respectMode {
				request.question.Set("respect_mode", "false")
			}
			return request.run(c.Context(), client, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&service, "service", "", "the deployed `service`, as its telemetry says in service.name")
	flags.StringVar(&revision, "revision", "", "deployed `commit`, at least seven digits")
	flags.StringVar(&version, "version", "", "deployed `version`, as telemetry says in service.version")
	flags.StringVar(&environment, "environment", "", "`where`; needed when it is in more than one")
	flags.DurationVar(&request.wait, "wait", 0, "how long to wait for a verdict (default: ask once)")
	flags.DurationVar(&request.every, "every", 2*time.Second, "how often to ask")
	flags.BoolVar(&request.respectMode, "respect-mode", false, "pass services whose mode is not gate")
	flags.StringVar(&request.onInconclusive, "on-inconclusive", "wait", "`what` inconclusive means: wait (exit 2 in the end), fail (exit 1) or pass (exit 0)")
	flags.StringVar(&request.unavailable, "on-unavailable", "wait", "`what` it means that the console cannot be asked: wait (exit 3 in the end), fail (exit 1 at once) or pass (exit 0)")
	flags.StringVar(&endpoint, "endpoint", "", "`URL` of the console (default $"+envConsole+", else http://"+defaultConsole+")")
	outputFlag(c, &request.output)
	for name, values := range map[string][]string{"on-inconclusive": {"wait", "fail", "pass"}, "on-unavailable": {"wait", "fail", "pass"}} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

// run asks until it is decided or the wait is over.
func (g gateRequest) run(ctx context.Context, client *consoleClient, out, progress io.Writer) error {
	deadline := time.Now().Add(g.wait)
	show := newGateProgress(progress)
	defer show.clear()
	for {
		var v gateVerdict
		err := client.get(ctx, "/gate/argo", g.question, &v)
		if err == nil && v.Verdict == "" {
			err = fmt.Errorf("%s answered, but not as a console does: is the port right?", client.shown())
		}
		left := time.Until(deadline)
		if err != nil {
			var refused refusal
			final := errors.As(err, &refused) && refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests
			if g.unavailable == "wait" && !final && left > 0 {
				show.say("no answer yet", left)
			} else {
				show.clear()
				return g.notAsked(out, progress, err)
			}
		} else {
			code, decided := g.exit(v)
			if decided || left <= 0 {
				show.clear()
				return g.answer(out, v, code)
			}
			show.say(fmt.Sprintf("%s: %s", v.Verdict, wording.OneLine(v.Reason, 100)), left)
		}
		select {
		case <-ctx.Done():
			return exitError{exitUndecided, errors.New("stopped before there was a verdict")}
		case <-time.After(min(g.every, max(left, 0))):
		}
	}
}

// exit is the code that v means; decided is false where waiting may change it.
func (g gateRequest) exit(v gateVerdict) (code int, decided bool) {
	if g.respectMode && v.Mode != "" && v.Mode != event.Gate {
		return 0, true
	}
	switch v.Verdict {
	case event.Healthy, event.Exonerated:
		return 0, true
	case event.Regressed:
		return exitRegressed, true
	case event.Inconclusive:
		// Nothing known yet of a fresh deployment is no verdict: it may come.
		switch {
		case v.Mode == "":
			return exitUndecided, false
		case g.onInconclusive == "pass":
			return 0, true
		case g.onInconclusive == "fail":
			return exitRegressed, true
		}
	}
	return exitUndecided, false
}

// answer prints v and exits by code.
func (g gateRequest) answer(out io.Writer, v gateVerdict, code int) error {
	var err error
	v.Decision = map[int]string{0: "pass", exitRegressed: "fail"}[code]
	if v.Decision == "" {
		v.Decision = "wait"
	}
	if g.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(v)
	} else {
		p := terminal.NewPainter(out)
		paint := map[event.VerdictState]func(string) string{
			event.Healthy: p.Good, event.Exonerated: p.Good, event.Regressed: p.Bad, event.Inconclusive: p.Warn, event.Watching: p.Warn,
		}[v.Verdict]
		if paint == nil {
			paint = p.Bold
		}
		_, err = fmt.Fprintf(out, "%s  %s\n%s\n", paint(string(v.Verdict)), wording.OneLine(v.Reason, 2000), p.Link(wording.OneLine(v.URL, 500)))
		if code == 0 && v.Verdict != event.Healthy && v.Verdict != event.Exonerated && err == nil {
			_, err = fmt.Fprintln(out, p.Dim("passes all the same, as --respect-mode or --on-inconclusive says"))
		}
	}
	if err != nil || code == 0 {
		return err
	}
	return exitError{code: code}
}

// notAsked ends without an answer of the console.
func (g gateRequest) notAsked(out, notes io.Writer, err error) error {
	if g.output == "json" {
		if encodeErr := json.NewEncoder(out).Encode(map[string]string{"verdict": "unavailable", "reason": err.Error()}); encodeErr != nil {
			return encodeErr
		}
	}
	switch g.unavailable {
	case "pass":
		fmt.Fprintln(notes, "deployloop: passes without a verdict, as --on-unavailable says:", err)
		return nil
	case "fail":
		return exitError{exitRegressed, err}
	default:
		return exitError{exitNotAsked, err}
	}
}

// gateProgress shows on a terminal what is waited for, in one line.
type gateProgress struct {
	w     io.Writer
	paint terminal.Painter
	last  string
}

func newGateProgress(w io.Writer) *gateProgress {
	return &gateProgress{w: w, paint: terminal.NewPainter(w)}
}

// say shows state and time left: over the last line on a terminal, else as a
// line of its own when the state changed.
func (p *gateProgress) say(state string, left time.Duration) {
	if terminal.IsTerminal(p.w) {
		fmt.Fprintf(p.w, "\r\x1b[K%s %s", state, p.paint.Dim(left.Round(time.Second).String()+" left"))
	} else if state != p.last {
		fmt.Fprintln(p.w, state)
	}
	p.last = state
}

func (p *gateProgress) clear() {
	if p.last != "" && terminal.IsTerminal(p.w) {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.last = ""
}
