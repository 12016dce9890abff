package forgeexporter

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// warning is what open pull requests hear that change the file which a
// regression points to: one comment each, however often this is gone through.
type warning struct {
	path, marker, body string
	listed             bool
	left               []int64 // pull requests still to look at
}

// noteWarning plans a warning when a verdict points to a file, and drops one
// of what is over; t.mu is held.
func (t *teller) noteWarning(d *deployment, v event.Verdict) {
	if v.State != event.Regressed || d.closure != nil {
		d.warn = nil
		return
	}
	s := v.Suspicion
	if t.cfg.WarnPulls == 0 || !t.cfg.Comments || d.warned || d.warn != nil || s == nil || s.Abstained || len(s.Suspects) == 0 || s.Suspects[0].File == "" {
		return
	}
	d.warn = newWarning(v, s.Suspects[0].File, t.cfg.ConsoleURL)
	t.rouse()
}

func newWarning(v event.Verdict, path, consoleURL string) *warning {
	w := &warning{
		path:   path,
		marker: "<!-- deployloop:warning:" + url.QueryEscape(v.Deployment.ID) + " -->",
	}
	var b strings.Builder
	b.WriteString(w.marker + "\n### This changes a file that is doing harm in " + markdown(wording.OneLine(v.Deployment.Environment, 80)) + "\n\n")
	b.WriteString("A regression points to " + code(path) + ": " + markdown(wording.Summary(event.Anomaly{
		Kind: event.KindDeployment, Service: v.Deployment.Service, Environment: v.Deployment.Environment, Commit: v.Deployment.Revision, Verdict: &v,
	})) + "\n\n")
	b.WriteString("If this mends it, say so here; if not, expect the file to change under it, by a rollback or a revert.\n")
	writeLink(&b, consoleURL, v)
	w.body = b.String()
	return w
}

// warnNext looks at one open pull request of the newest warning, so that
// nothing more urgent waits long. It is false when there is none.
func (t *teller) warnNext(ctx context.Context) (worked bool, err error) {
	t.mu.Lock()
	var id, repository string
	var w *warning
	for _, known := range slices.Backward(t.recent) {
		if d := t.deployments[known]; d != nil && d.warn != nil {
			id, repository, w = known, d.repository, d.warn
			break
		}
	}
	t.mu.Unlock()
	if w == nil {
		return false, nil
	}
	err = t.attempt(ctx, id, "warning", func() error { return t.warnStep(ctx, repository, w) })
	if err != nil {
		return true, err
	}
	if w.listed && len(w.left) > 0 {
		w.left = w.left[1:]
	}
	// Listed with nothing left, or not even the list was granted.
	if len(w.left) == 0 {
		t.mu.Lock()
		if d := t.deployments[id]; d != nil {
			d.warn, d.warned = nil, true
		}
		t.mu.Unlock()
	}
	return true, nil
}

func (t *teller) warnStep(ctx context.Context, repository string, w *warning) error {
	if !w.listed {
		pulls, err := t.forge.OpenPulls(ctx, repository)
		if err != nil {
			return err
		}
		w.left, w.listed = pulls[:min(len(pulls), t.cfg.WarnPulls)], true
	}
	if len(w.left) == 0 {
		return nil
	}
	pull := w.left[0]
	paths, err := t.forge.PullFiles(ctx, repository, pull)
	if err != nil || !slices.Contains(paths, w.path) {
		return err
	}
	there, err := t.own(ctx, repository, pull, w.marker)
	if err != nil || there != nil {
		return err
	}
	if _, err := t.forge.CreateComment(ctx, repository, pull, w.body); err != nil {
		return err
	}
	t.count(ctx, "pull_warned")
	// Another replica may have done the same: all keep the oldest.
	_, err = t.own(ctx, repository, pull, w.marker)
	return err
}
