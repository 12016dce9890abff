package forgeexporter

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/waiver"
)

const (
	// maxThreads bounds the pull requests whose replies are read in one round;
	// those of the newest regressions come first.
	maxThreads = 50
	// maxAnswered bounds the replies that are remembered as dealt with. One
	// that is forgotten is only looked at again.
	maxAnswered = 1000

	waiveWord = "/deployloop waive"
)

// thread is a pull request with comments of open alerts.
type thread struct {
	repository string
	pull       int64
}

// openAlert is one of a thread.
type openAlert struct {
	deployment, anomaly string
	since               time.Time // of the regression: an older reply is not of it
}

// threads are where a reply could close something.
func (t *teller) threads() map[thread][]openAlert {
	if t.ledger == nil || !t.cfg.honoursWaivers() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[thread][]openAlert{}
	for _, id := range slices.Backward(t.recent) {
		d := t.deployments[id]
		if d == nil || d.commentID == 0 || d.closure != nil || d.anomaly == "" || d.waived || d.regressedAt.IsZero() {
			continue
		}
		where := thread{d.repository, d.pull}
		if _, known := found[where]; known || len(found) < maxThreads {
			found[where] = append(found[where], openAlert{id, d.anomaly, d.regressedAt})
		}
	}
	return found
}

// lookForReplies reads what people answered to comments of open alerts, when
// that is due. It keeps nothing that a restart would need: a reply is dealt
// with when its alert is closed.
func (t *teller) lookForReplies(ctx context.Context) (looked bool, err error) {
	now := t.now()
	if now.Before(t.lookAt) {
		return false, nil
	}
	threads := t.threads()
	if len(threads) == 0 {
		return false, nil
	}
	t.lookAt = now.Add(t.cfg.WaiverInterval)
	for where, alerts := range threads {
		err := t.attempt(ctx, alerts[0].deployment, "replies", func() error { return t.readReplies(ctx, where, alerts) })
		if err != nil {
			// It comes first, so there must be time for the rest after the pause.
			t.lookAt = t.lookAt.Add(t.cfg.MaxRetryInterval)
			return true, err
		}
	}
	return true, nil
}

func (t *teller) readReplies(ctx context.Context, where thread, alerts []openAlert) error {
	since := slices.MinFunc(alerts, func(a, b openAlert) int { return a.since.Compare(b.since) }).since
	replies, err := t.forge.Replies(ctx, where.repository, where.pull, since)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		until, reason, ok := readWaiver(reply.Body)
		if !ok || t.answered.Contains(replyKey(where, reply)) {
			continue
		}
		may, err := t.forge.MayWrite(ctx, where.repository, reply.Author)
		if err != nil {
			return err
		}
		t.answered.Add(replyKey(where, reply), struct{}{})
		logger := t.logger.With(zap.String("repository", where.repository), zap.Int64("pull", where.pull), zap.String("by", reply.Author.Login))
		if !may {
			t.count(ctx, "waiver_refused")
			logger.Warn("a waiver was not taken: only people who may push can waive")
			continue
		}
		now := t.now().UTC()
		if until == "" {
			until = now.Add(t.cfg.WaiverTerm).Format(time.RFC3339)
		}
		c, err := waiver.Closure(until, reason, reply.Author.Login, now)
		if err != nil {
			t.count(ctx, "waiver_invalid")
			logger.Warn("a waiver was not taken", zap.Error(err))
			continue
		}
		for _, alert := range alerts {
			if !reply.At.Before(alert.since.Truncate(time.Second)) && t.ledger.CloseAnomaly(alert.anomaly, c) {
				t.count(ctx, "waived")
				logger.Info("an alert was waived by a reply", zap.String("anomaly", alert.anomaly))
				t.mu.Lock()
				if d := t.deployments[alert.deployment]; d != nil {
					d.waived = true
				}
				t.mu.Unlock()
			}
		}
	}
	return nil
}

// replyKey tells a reply apart from what it was before it was edited.
func replyKey(where thread, reply forgeapi.Comment) string {
	return where.repository + "\x00" + reply.Author.Login + "\x00" + reply.At.String() + "\x00" + reply.Body
}

var waiveShape = regexp.MustCompile(`^` + waiveWord + `(?:\s+until\s+(\d{4}-\d{2}-\d{2}))?(?:\s+(.*))?$`)

// readWaiver reads a reply's first line; ok is false for any other reply.
// until is "" when no day was named, the reason "" when none was given.
func readWaiver(body string) (until, reason string, ok bool) {
	line, _, _ := strings.Cut(strings.TrimLeft(body, " \t\r\n"), "\n")
	m := waiveShape.FindStringSubmatch(strings.TrimSpace(line))
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}
