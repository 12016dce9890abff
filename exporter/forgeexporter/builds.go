package forgeexporter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/wording"
)

// builds are what is known of branches and what the forge was last told of them:
// the newest commit of each.
type builds struct {
	known  map[string]*build // by repository and branch
	recent []string          // of known, oldest first
	order  []string          // those that wait to be told, oldest first
}

type build struct {
	repository string
	newest     event.Feedback
	pending    bool
	status     string // keys of what was written last
	comment    string
	pull, id   int64 // of its comment; 0: not known
}

// buildMarker begins the comment on a pull request of what its builds and tests
// say; the line after it tells a restart or another replica what it says.
const buildMarker = "<!-- deployloop:builds -->"

var buildImprint = regexp.MustCompile(`^<!-- deployloop:state:(-?\d+):([0-9a-f]{16}) -->`)

// noteBuild keeps the newest word on a branch's newest commit.
func (t *teller) noteBuild(ctx context.Context, f event.Feedback) {
	if f.Mode != event.Advise && f.Mode != event.Gate {
		return
	}
	repository := t.cfg.RepositoryPath(f.Repository)
	switch {
	case repository == "":
		t.count(ctx, "no_repository")
		return
	case !commit.MatchString(f.Revision):
		t.count(ctx, "no_commit")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.builds
	key := repository + "\x00" + f.Ref
	known := b.known[key]
	if known == nil {
		if b.known == nil {
			b.known = map[string]*build{}
		}
		known = &build{repository: repository}
		b.known[key] = known
		if b.recent = append(b.recent, key); len(b.recent) > maxKnown {
			delete(b.known, b.recent[0])
			b.recent = b.recent[1:]
		}
	}
	if n := known.newest; n.StartedAt.After(f.StartedAt) || n.ID == f.ID && n.At.After(f.At) {
		return // of an older commit, or out of order
	}
	known.newest = f
	if known.pending || !t.buildStatusDue(known, f) && !t.buildCommentDue(known, f) {
		return
	}
	known.pending = true
	if b.order = append(b.order, key); len(b.order) > t.cfg.MaxPending {
		if oldest := b.known[b.order[0]]; oldest != nil {
			oldest.pending = false // its next heartbeat brings it back
		}
		b.order = b.order[1:]
		t.count(ctx, "overflow")
	}
	t.rouse()
}

func (t *teller) buildStatusDue(b *build, f event.Feedback) bool {
	return t.cfg.Statuses && b.status != buildStatusKey(f)
}

// buildCommentDue: a comment is made only of news for the worse, and one that may
// be there is kept true.
func (t *teller) buildCommentDue(b *build, f event.Feedback) bool {
	return t.cfg.Comments && !f.Trunk && b.comment != buildCommentKey(f) && (f.State == event.Regressed || !f.Running)
}

// tellNextBuild tells of the branch that waits longest; false when none does.
func (t *teller) tellNextBuild(ctx context.Context) (worked bool, err error) {
	t.mu.Lock()
	var known *build
	for known == nil && len(t.builds.order) > 0 {
		known = t.builds.known[t.builds.order[0]]
		if known == nil || !known.pending {
			known, t.builds.order = nil, t.builds.order[1:]
		}
	}
	if known == nil {
		t.mu.Unlock()
		return false, nil
	}
	key := t.builds.order[0]
	t.builds.order = t.builds.order[1:]
	have, f := *known, known.newest
	t.mu.Unlock()

	err = t.attempt(ctx, f.ID, "status", func() error { return t.tellBuildStatus(ctx, &have, f) })
	if err == nil {
		err = t.attempt(ctx, f.ID, "comment", func() error { return t.tellBuildComment(ctx, &have, f) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known.status, known.comment, known.pull, known.id = have.status, have.comment, have.pull, have.id
	known.pending = t.buildStatusDue(known, known.newest) || t.buildCommentDue(known, known.newest)
	if known.pending {
		t.builds.order = append(t.builds.order, key) // at the end: one that fails does not hold up the rest
	}
	return true, err
}

func (t *teller) tellBuildStatus(ctx context.Context, have *build, f event.Feedback) error {
	if !t.buildStatusDue(have, f) {
		return nil
	}
	want := buildStatus(f, t.cfg.ConsoleURL, forgeapi.State(t.cfg.InconclusiveState))
	if !strings.HasPrefix(have.status, f.ID) { // by a former run or another replica
		there, err := t.forge.Status(ctx, have.repository, f.Revision, want.Context)
		if err != nil {
			return t.settleBuild(&have.status, buildStatusKey(f), err)
		}
		if there != nil && *there == want {
			have.status = buildStatusKey(f)
			t.count(ctx, "status_unchanged")
			return nil
		}
	}
	err := t.forge.SetStatus(ctx, have.repository, f.Revision, want)
	if err == nil {
		t.count(ctx, "status_written")
	}
	return t.settleBuild(&have.status, buildStatusKey(f), err)
}

// settleBuild notes what was told, or refused for good, as done.
func (t *teller) settleBuild(done *string, key string, err error) error {
	if !temporary(err) {
		*done = key
	}
	return err
}

func (t *teller) tellBuildComment(ctx context.Context, have *build, f event.Feedback) error {
	if !t.buildCommentDue(have, f) {
		return nil
	}
	err := t.writeBuildComment(ctx, have, f)
	var failed *forgeapi.Failed
	if have.id != 0 && errors.As(err, &failed) && failed.Gone() {
		have.id, have.pull = 0, 0 // somebody removed it: look again, once
		err = t.writeBuildComment(ctx, have, f)
	}
	return t.settleBuild(&have.comment, buildCommentKey(f), err)
}

func (t *teller) writeBuildComment(ctx context.Context, have *build, f event.Feedback) error {
	if have.id == 0 {
		pull, err := t.forge.OpenPull(ctx, have.repository, f.Revision)
		if err != nil {
			return err
		}
		if pull == 0 {
			if f.State == event.Regressed {
				t.count(ctx, "no_pull_request")
			}
			return nil
		}
		there, err := t.own(ctx, have.repository, pull, buildMarker)
		if err != nil {
			return err
		}
		if there == nil {
			return t.createBuildComment(ctx, have, f, pull)
		}
		have.pull, have.id = pull, there.ID
		if began, hash, ok := readBuildImprint(there.Body); ok && (hash == buildHash(f) || began > f.StartedAt.Unix()) {
			t.count(ctx, "comment_unchanged")
			return nil
		}
	}
	if err := t.forge.EditComment(ctx, have.repository, have.pull, have.id, buildComment(f, t.cfg.ConsoleURL)); err != nil {
		return err
	}
	t.count(ctx, "comment_edited")
	return nil
}

func (t *teller) createBuildComment(ctx context.Context, have *build, f event.Feedback, pull int64) error {
	if f.State != event.Regressed {
		return nil // silence when all is well
	}
	made, err := t.forge.CreateComment(ctx, have.repository, pull, buildComment(f, t.cfg.ConsoleURL))
	if err != nil {
		return err
	}
	t.count(ctx, "comment_created")
	have.pull, have.id = pull, made.ID
	// Another replica may have done the same at the same moment: all keep the oldest.
	if kept, err := t.own(ctx, have.repository, pull, buildMarker); err != nil {
		return err
	} else if kept != nil {
		have.id = kept.ID
	}
	return nil
}

// buildStatus is the commit status of what builds and tests say: pending while they
// run and nothing is wrong, and never green early.
func buildStatus(f event.Feedback, consoleURL string, inconclusive forgeapi.State) forgeapi.Status {
	if f.Running {
		f.Tests = 0 // a count that moves with every second is no news
	}
	s := forgeapi.Status{Context: "deployloop/builds", State: forgeapi.Pending, Description: wording.FeedbackHeadline(f), TargetURL: changeLink(consoleURL, f.Revision)}
	switch {
	case f.State == event.Regressed:
		s.State = forgeapi.Failure
	case f.Running:
		s.Description = "builds and tests go on: " + s.Description
	case f.State == event.Healthy:
		s.State = forgeapi.Success
	case f.State == event.Inconclusive:
		s.State = inconclusive
	}
	s.Description = wording.OneLine(s.Description, forgeapi.DescriptionLimit)
	return s
}

func buildStatusKey(f event.Feedback) string {
	s := buildStatus(f, "", forgeapi.Pending)
	return f.ID + "\x00" + string(s.State) + "\x00" + s.Description
}

// buildCommentKey is what a comment says, without its figures.
func buildCommentKey(f event.Feedback) string {
	parts := []string{f.Revision, string(f.State)}
	for _, j := range f.Judgements {
		if j.Call.Worse() || j.NewFlake {
			parts = append(parts, string(j.Call)+j.Key())
		}
	}
	for _, p := range f.Production {
		parts = append(parts, p.Deployment+string(p.State))
	}
	return strings.Join(parts, "\x00")
}

func buildHash(f event.Feedback) string {
	sum := sha256.Sum256([]byte(buildCommentKey(f)))
	return hex.EncodeToString(sum[:8])
}

func readBuildImprint(body string) (began int64, hash string, ok bool) {
	_, rest, _ := strings.Cut(body, "\n")
	m := buildImprint.FindStringSubmatch(rest)
	if m == nil {
		return 0, "", false
	}
	began, err := strconv.ParseInt(m[1], 10, 64)
	return began, m[2], err == nil
}

// maxBuildRows bounds the judgements in a comment.
const maxBuildRows = 10

// buildComment writes the comment: what is new against the branch this goes to.
func buildComment(f event.Feedback, consoleURL string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n<!-- deployloop:state:%d:%s -->\n", buildMarker, f.StartedAt.Unix(), buildHash(f))
	title := wording.FeedbackHeadline(f)
	if f.State == event.Healthy {
		title = "Builds and tests: " + title
	}
	b.WriteString("### " + markdown(title) + " at " + code(event.ShortRevision(f.Revision)) + "\n\n")
	for i, j := range f.Judgements {
		if i == maxBuildRows {
			fmt.Fprintf(&b, "- and %d more\n", len(f.Judgements)-i+f.More)
			break
		}
		line := markdown(wording.JudgementLine(j))
		if j.Call.Worse() {
			line = "**" + line + "**"
		}
		b.WriteString("- " + line + "\n")
		if j.Test == nil || !j.Call.Worse() && j.Call != event.KnownFlaky {
			continue
		}
		if j.Test.Message != "" {
			b.WriteString("  " + markdown(wording.OneLine(j.Test.Message, 300)) + "\n")
		}
		if j.LastPass != "" && j.Call == event.NewFailure {
			b.WriteString("  passed last at " + code(event.ShortRevision(j.LastPass)) + "\n")
		}
		if j.Rate > 0 {
			b.WriteString("  fails by itself in " + markdown(wording.Percent(j.Rate)) + " of its runs\n")
		}
		if again := wording.RunAgain(*j.Test); again != "" && j.Call.Worse() {
			b.WriteString("  " + code(again) + "\n")
		}
	}
	for _, p := range f.Production {
		b.WriteString("\n**In production:** " + markdown(wording.ProductionLine(p)) + "\n")
	}
	if link := changeLink(consoleURL, f.Revision); link != "" {
		b.WriteString("\n[All that builds and tests say](<" + strings.ReplaceAll(link, ">", "%3E") + ">)\n")
	}
	return b.String()
}

func changeLink(consoleURL, revision string) string {
	if consoleURL == "" {
		return ""
	}
	return strings.TrimRight(consoleURL, "/") + "/changes/" + url.PathEscape(revision)
}
