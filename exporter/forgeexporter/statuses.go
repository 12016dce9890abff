package forgeexporter

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
)

// rights are what a replica may do to a status that is there, which may be another's.
type rights struct {
	// waited: what was written last was pending too; then another replica that found
	// more meanwhile is not taken back.
	waited bool
	// knew tells whether this replica has itself heard of the harm. Only then does it
	// know how it ended, and may say less than failure.
	knew func() bool
	// since is when what is told of began: a failure from before is of something else.
	// Zero: any failure is of the same.
	since time.Time
}

// may tells whether a status may be written over the one that is there.
func (r rights) may(there, want forgeapi.Status) bool {
	switch {
	case r.waited && want.State == forgeapi.Pending && there.State != forgeapi.Pending:
		return false
	case there.State != forgeapi.Failure || want.State == forgeapi.Failure:
		return true
	}
	same := there.At.IsZero() || !there.At.Before(r.since) || there.TargetURL != "" && there.TargetURL == want.TargetURL
	return !same || r.knew()
}

// written is the last write of a status, until it was looked at what became of it.
type written struct {
	before int64 // the number of the newest that was there
	open   bool
}

// tellStatus writes the commit status unless the forge has it already, by a
// former run or another replica. Replicas need share nothing but the forge, so it
// is asked each time: a status has no identity by which twins could be removed.
func (t *teller) tellStatus(ctx context.Context, have *deployment, know told) error {
	if !t.statusDue(have, know) {
		return nil
	}
	last, d := have.status, know.verdict.Deployment
	have.status = statusKey(know)
	want := statusOf(know, t.cfg.ConsoleURL, forgeapi.State(t.cfg.InconclusiveState))
	err := t.setStatus(ctx, have.repository, d.Revision, want, &have.wrote, rights{
		waited: strings.HasPrefix(last, watchingKey(d.ID)), since: d.StartedAt,
		knew: func() bool { return !know.verdict.RegressedAt.IsZero() || t.knewTarget(targetOf(d)) },
	})
	if temporary(err) {
		have.status = last
	}
	return err
}

func targetOf(d event.Deployment) string {
	return strings.Join([]string{d.Environment, d.Service, d.Revision}, "\x00")
}

// knewTarget tells whether any deployment of the same commit to the same place is known
// to have regressed: they share a status.
func (t *teller) knewTarget(target string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.deployments {
		if d.target == target && !d.regressedAt.IsZero() {
			return true
		}
	}
	return false
}

// knewBuild tells whether a commit was told to have got worse, on whichever branch:
// they share a status.
func (t *teller) knewBuild(repository, revision string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.builds.commits[commitKey(repository, revision)], func(b *build) bool { return b.failed })
}

// setStatus reads, writes what is not there and may be written, and reads again: see
// standing.
func (t *teller) setStatus(ctx context.Context, repository, revision string, want forgeapi.Status, wrote *written, r rights) error {
	there, err := t.standing(ctx, repository, revision, want.Context, wrote)
	if err != nil {
		return err
	}
	if there != nil && (there.Says(want) || !r.may(*there, want)) {
		t.count(ctx, "status_unchanged")
		return nil
	}
	*wrote = written{open: want.State != forgeapi.Failure && !r.knew()}
	if there != nil {
		wrote.before = there.ID
	}
	if err := t.forge.SetStatus(ctx, repository, revision, want); err != nil {
		return err
	}
	t.count(ctx, "status_written")
	if wrote.open {
		_, err = t.standing(ctx, repository, revision, want.Context, wrote)
	}
	return err
}

// standing is the newest status, nil for none. Between the reading and the writing of a
// status another replica may have written a failure, which the forge keeps below: it is
// put back on top, by whoever covered it.
func (t *teller) standing(ctx context.Context, repository, revision, name string, wrote *written) (*forgeapi.Status, error) {
	list, err := t.forge.Statuses(ctx, repository, revision, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		wrote.open = false
		return nil, nil
	}
	newest := list[0]
	if wrote.open && newest.State != forgeapi.Failure {
		covered := slices.IndexFunc(list, func(s forgeapi.Status) bool { return s.State == forgeapi.Failure && s.ID > wrote.before })
		if covered >= 0 {
			newest = list[covered]
			if err := t.forge.SetStatus(ctx, repository, revision, newest); err != nil {
				return nil, err // it stays open
			}
			t.count(ctx, "status_restored")
		}
	}
	wrote.open = false
	return &newest, nil
}
