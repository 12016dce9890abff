package forgeexporter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
)

// maxLimitPause bounds the pause of a limit that names no time and is met again and
// again.
const maxLimitPause = 16 * time.Minute

// run does what there is to do, and pauses as one while the forge is away or
// asks for it.
func (t *teller) run(ctx context.Context) {
	pause, limited := t.cfg.RetryInterval, 0
	for ctx.Err() == nil {
		worked, err := t.step(ctx)
		if err == nil {
			pause, limited = t.cfg.RetryInterval, 0
			if !worked {
				t.idle(ctx)
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		wait := pause
		var f *forgeapi.Failed
		if errors.As(err, &f) && f.RetryAfter > 0 {
			wait = f.RetryAfter
			if f.Guessed {
				wait = min(wait<<limited, maxLimitPause)
				limited = min(limited+1, 10)
			}
		}
		t.count(ctx, "retryable")
		t.logger.Warn("the forge could not be told; trying again", zap.Duration("in", wait), zap.String("fix", hint(err)), zap.Error(err))
		t.sleep(ctx, wait)
		pause = min(2*pause, t.cfg.MaxRetryInterval)
	}
}

// step does one thing, the most urgent first: people's replies when they are
// due, a deployment that waits to be told, a build, a warning. It is false with
// nothing to do; its error is temporary. What failed has the others go first once:
// one that fails again and again does not hold them up.
func (t *teller) step(ctx context.Context) (worked bool, err error) {
	if looked, err := t.lookForReplies(ctx); looked || err != nil {
		return true, err
	}
	parts := []func(context.Context) (bool, error){t.tellNext, t.tellNextBuild, t.warnNext}
	first := t.first
	t.first = 0
	for i := range parts {
		n := (first + i) % len(parts)
		if worked, err = parts[n](ctx); err != nil {
			t.first = (n + 1) % len(parts)
		}
		if worked || err != nil {
			return true, err
		}
	}
	return false, nil
}

// tellNext tells of the deployment that waits longest; false when none does.
func (t *teller) tellNext(ctx context.Context) (worked bool, err error) {
	id, have, know, ok := t.next()
	if !ok {
		return false, nil
	}
	err = t.attempt(ctx, id, "status", func() error { return t.tellStatus(ctx, &have, know) })
	if err == nil {
		err = t.attempt(ctx, id, "comment", func() error { return t.tellComment(ctx, &have, know) })
	}
	t.settle(ctx, id, have)
	return true, err
}

// idle waits for news, or until replies are due.
func (t *teller) idle(ctx context.Context) {
	var due <-chan time.Time
	if len(t.threads()) > 0 {
		timer := time.NewTimer(t.cfg.WaiverInterval)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-t.wake:
	case <-due:
	}
}

// attempt does one part. A refusal that the same call would meet again is told
// and swallowed: the part counts as done until the state changes.
func (t *teller) attempt(ctx context.Context, id, part string, do func() error) error {
	err := do()
	var f *forgeapi.Failed
	if err == nil || !errors.As(err, &f) || f.Temporary() {
		return err
	}
	t.count(ctx, "permanent")
	t.logger.Error("the forge refused; it is told anew when the verdict changes",
		zap.String("deployment", id), zap.String("part", part), zap.String("fix", hint(err)), zap.Error(err))
	return nil
}

// tellComment creates or edits the one comment.
func (t *teller) tellComment(ctx context.Context, have *deployment, know told) error {
	if !t.commentDue(have, know) {
		return nil
	}
	last := have.comment
	have.comment = commentKey(know)
	err := t.writeComment(ctx, have, know)
	var f *forgeapi.Failed
	if have.commentID != 0 && errors.As(err, &f) && f.Gone() {
		// Somebody removed it: look again, once.
		have.commentID = 0
		err = t.writeComment(ctx, have, know)
	}
	if temporary(err) {
		have.comment = last
	}
	return err
}

func (t *teller) writeComment(ctx context.Context, have *deployment, know told) error {
	next, prefix := imprintOf(know), marker(know.verdict.Deployment)
	if have.commentID != 0 {
		// Another replica may have closed it, a later deployment have taken it over.
		there, err := t.own(ctx, have.repository, have.pull, prefix)
		if err != nil {
			return err
		}
		if there != nil {
			have.commentID = there.ID
			if said, ok := readImprint(there.Body); ok && said.outdates(next) {
				t.count(ctx, "comment_unchanged")
				return nil
			}
			return t.edit(ctx, have, know)
		}
		have.commentID = 0 // somebody removed it: look again
	}
	pulls := map[int64]bool{}
	target, ofSuspect := int64(0), false
	for i, revision := range commits(know.verdict) {
		pull, err := t.forge.MergedPull(ctx, have.repository, revision)
		if err != nil {
			return err
		}
		if pull == 0 || pulls[pull] {
			continue
		}
		pulls[pull] = true
		named := i == 0 && know.verdict.Suspicion != nil && !know.verdict.Suspicion.Abstained && len(know.verdict.Suspicion.Suspects) > 0
		there, err := t.own(ctx, have.repository, pull, prefix)
		if err != nil {
			return err
		}
		if there != nil {
			said, ok := readImprint(there.Body)
			if ok && (said.deployment == next.deployment || target == 0) {
				have.pull, have.commentID, have.ofSuspect = pull, there.ID, named
				if said.outdates(next) {
					if said.deployment != next.deployment {
						have.commentID = 0 // a later deployment's: not ours to edit
					}
					t.count(ctx, "comment_unchanged")
					return nil
				}
				if said.deployment == next.deployment || mayCreate(know) {
					return t.edit(ctx, have, know)
				}
				have.commentID = 0
				return nil
			}
		}
		if target == 0 {
			target, ofSuspect = pull, named
		}
	}
	if !mayCreate(know) {
		return nil // nothing was said, so there is nothing to take back
	}
	if target == 0 {
		t.count(ctx, "no_pull_request")
		return nil
	}
	made, err := t.forge.CreateComment(ctx, have.repository, target, commentOf(know, t.cfg, ofSuspect))
	if err != nil {
		return err
	}
	t.count(ctx, "comment_created")
	if t.ledger != nil {
		t.ledger.RecordTold(event.Telling{Deployment: know.verdict.Deployment.ID, Verdict: know.verdict.State, Channel: event.ChannelForge, At: t.now()})
	}
	have.pull, have.commentID, have.ofSuspect = target, made.ID, ofSuspect
	// Another replica may have done the same at the same moment: all keep the
	// oldest.
	kept, err := t.own(ctx, have.repository, target, prefix)
	if err == nil && kept != nil {
		have.commentID = kept.ID
	}
	return err
}

func (t *teller) edit(ctx context.Context, have *deployment, know told) error {
	if err := t.forge.EditComment(ctx, have.repository, have.pull, have.commentID, commentOf(know, t.cfg, have.ofSuspect)); err != nil {
		return err
	}
	t.count(ctx, "comment_edited")
	return nil
}

// own finds the comment on a pull request; of several, it keeps the oldest.
func (t *teller) own(ctx context.Context, repository string, pull int64, prefix string) (*forgeapi.Comment, error) {
	list, err := t.forge.OwnComments(ctx, repository, pull, prefix)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	for _, twin := range list[1:] {
		err := t.forge.DeleteComment(ctx, repository, pull, twin.ID)
		var f *forgeapi.Failed
		if errors.As(err, &f) && f.Gone() {
			continue // the other replica was faster
		}
		if err != nil {
			return nil, err
		}
		t.count(ctx, "duplicate_removed")
	}
	return &list[0], nil
}

func temporary(err error) bool {
	var f *forgeapi.Failed
	return err != nil && (!errors.As(err, &f) || f.Temporary())
}

// hint names the fix for what people get wrong.
func hint(err error) string {
	var f *forgeapi.Failed
	if !errors.As(err, &f) {
		return "see the forge's log"
	}
	switch {
	case f.Limited:
		return "a rate limit: the forge said when to come back; lower requests_per_second if this repeats"
	case f.Code == http.StatusUnauthorized:
		return "the token is wrong or expired: set forge.token"
	case f.Code == http.StatusForbidden:
		return "the token may not do this: it needs to write commit statuses and pull-request (issue) comments, and to read its own user unless forge.login is set"
	case f.Code == http.StatusNotFound:
		return "no such repository, or the token does not see it: check forge.repositories and the endpoint"
	case f.Code == http.StatusUnprocessableEntity:
		return "is the deployed commit in this repository? see forge.repositories"
	case f.Code == 0:
		return "no answer: check endpoint, timeout and the network"
	default:
		return "see the forge's log"
	}
}
