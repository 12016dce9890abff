package forgeexporter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/wording"
)

// builds are what is known of commits and what the forge was last told of them.
// Each has its status, whichever branches it is on; the comment is of a branch, and tells
// of its newest commit.
type builds struct {
	known    map[string]*build   // by the id of the feedback: a commit of a branch
	commits  map[string][]*build // the same by commitKey
	branches map[string]*buildBranch
	recent   []string // of known, oldest first
	order    []string // those that wait to be told, oldest first
}

type build struct {
	repository string
	branch     *buildBranch
	newest     event.Feedback
	pending    bool
	failed     bool   // it was told to have got worse
	status     string // key of what was written last
	wrote      written
}

// buildBranch is the comment of a branch.
type buildBranch struct {
	known   int    // commits that are of it
	commit  string // the id of its newest commit's feedback
	began   time.Time
	comment string // key of what was written last
	// The open pull request and the comment on it, as of the revision that they were
	// looked up for; 0: not known.
	pull, id int64
	asked    string
	// While bad news has no pull request it is looked for again, at a heartbeat.
	looks int
	next  time.Time
}

// A pull request that is opened after its commit failed is looked for at most so
// often.
const (
	lookForPull = time.Minute
	maxLooks    = 200 // a day's heartbeats
)

// buildMarker begins the comment on a pull request of what its builds and tests
// say; the line after it tells a restart or another replica what it says.
const buildMarker = "<!-- deployloop:builds -->"

var buildImprint = regexp.MustCompile(`^<!-- deployloop:state:(-?\d+):([0-9a-f]{16}) -->`)

// noteBuild keeps the newest word on a commit.
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
	known, untold := b.of(repository, f)
	if untold {
		t.count(ctx, "overflow")
	}
	if known.newest.At.After(f.At) {
		return // out of order
	}
	known.newest = f
	known.failed = known.failed || f.State == event.Regressed
	if c := known.branch; c.commit != f.ID && !c.began.After(f.StartedAt) {
		c.commit, c.began, c.looks, c.next = f.ID, f.StartedAt, 0, time.Time{}
	}
	if known.pending || !t.buildStatusDue(known, b.worst(known)) && !t.buildCommentDue(known, f) {
		return
	}
	known.pending = true
	if b.order = append(b.order, f.ID); len(b.order) > t.cfg.MaxPending {
		if oldest := b.known[b.order[0]]; oldest != nil {
			oldest.pending = false // its next heartbeat brings it back
		}
		b.order = b.order[1:]
		t.count(ctx, "overflow")
	}
	t.rouse()
}

// of finds what is known of a commit, or begins it. A branch is forgotten with the
// last of its commits. untold: the one that is forgotten for it was to be told.
func (b *builds) of(repository string, f event.Feedback) (known *build, untold bool) {
	if known := b.known[f.ID]; known != nil {
		return known, false
	}
	if b.known == nil {
		b.known, b.branches, b.commits = map[string]*build{}, map[string]*buildBranch{}, map[string][]*build{}
	}
	name := repository + "\x00" + f.Ref
	branch := b.branches[name]
	if branch == nil {
		branch = &buildBranch{}
		b.branches[name] = branch
	}
	branch.known++
	known = &build{repository: repository, branch: branch}
	b.known[f.ID] = known
	commit := commitKey(repository, f.Revision)
	b.commits[commit] = append(b.commits[commit], known)
	if b.recent = append(b.recent, f.ID); len(b.recent) > maxKnown {
		oldest := b.known[b.recent[0]]
		untold = oldest.pending
		if oldest.branch.known--; oldest.branch.known == 0 {
			delete(b.branches, oldest.repository+"\x00"+oldest.newest.Ref)
		}
		delete(b.known, b.recent[0])
		b.recent = b.recent[1:]
		commit := commitKey(oldest.repository, oldest.newest.Revision)
		if b.commits[commit] = slices.DeleteFunc(b.commits[commit], func(x *build) bool { return x == oldest }); len(b.commits[commit]) == 0 {
			delete(b.commits, commit)
		}
	}
	return known, untold
}

func commitKey(repository, revision string) string { return repository + "\x00" + revision }

// worst is what the status of a commit tells. Its branches share it, and what is well
// when compared on one of them, or on a tag, takes back nothing that another found. Only
// a main branch that comes to its end later speaks for the others: it was merged.
func (b *builds) worst(of *build) event.Feedback {
	rank := func(f event.Feedback) int {
		switch {
		case f.State == event.Regressed:
			return 0
		case f.Running:
			return 1
		case f.State != event.Healthy:
			return 2
		}
		return 3
	}
	same := b.commits[commitKey(of.repository, of.newest.Revision)]
	var merged time.Time
	for _, x := range same {
		if f := x.newest; f.Trunk && !f.Running && f.At.After(merged) {
			merged = f.At
		}
	}
	same = slices.DeleteFunc(slices.Clone(same), func(x *build) bool { return !x.newest.Trunk && x.newest.At.Before(merged) })
	return slices.MinFunc(same, func(x, y *build) int { // of those alike always the same
		return cmp.Or(rank(x.newest)-rank(y.newest), x.newest.StartedAt.Compare(y.newest.StartedAt), cmp.Compare(x.newest.ID, y.newest.ID))
	}).newest
}

// buildStatusDue: f is the worst of the commit.
func (t *teller) buildStatusDue(b *build, f event.Feedback) bool {
	return t.cfg.Statuses && b.status != buildStatusKey(f)
}

// buildCommentDue: a comment is made only of news for the worse, and one that may
// be there is kept true.
func (t *teller) buildCommentDue(b *build, f event.Feedback) bool {
	c := b.branch
	return t.cfg.Comments && !f.Trunk && c.commit == f.ID && c.comment != buildCommentKey(f) && (f.State == event.Regressed || !f.Running) &&
		!t.now().Before(c.next)
}

// tellNextBuild tells of the commit that waits longest; false when none does.
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
	have, branch, f, worst := *known, *known.branch, known.newest, t.builds.worst(known)
	have.branch = &branch
	t.mu.Unlock()

	err = t.attempt(ctx, f.ID, "status", func() error { return t.tellBuildStatus(ctx, &have, worst) })
	if err == nil {
		err = t.attempt(ctx, f.ID, "comment", func() error { return t.tellBuildComment(ctx, &have, f) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known.status, known.wrote = have.status, have.wrote
	c := known.branch
	c.comment, c.pull, c.id, c.asked = branch.comment, branch.pull, branch.id, branch.asked
	if c.commit == branch.commit {
		c.looks, c.next = branch.looks, branch.next
	}
	known.pending = t.buildStatusDue(known, t.builds.worst(known)) || t.buildCommentDue(known, known.newest)
	if known.pending {
		t.builds.order = append(t.builds.order, key) // at the end: one that fails does not hold up the rest
	}
	return true, err
}

func (t *teller) tellBuildStatus(ctx context.Context, have *build, f event.Feedback) error {
	if !t.buildStatusDue(have, f) {
		return nil
	}
	_, last, _ := strings.Cut(have.status, "\x00")
	waited := strings.HasPrefix(last, string(forgeapi.Pending)+"\x00")
	err := t.setStatus(ctx, have.repository, f.Revision, buildStatus(f, t.cfg.ConsoleURL), &have.wrote, rights{
		waited: waited, knew: func() bool { return t.knewBuild(have.repository, f.Revision) },
	})
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
	c := have.branch
	err := t.writeBuildComment(ctx, have.repository, c, f)
	var failed *forgeapi.Failed
	if c.id != 0 && errors.As(err, &failed) && failed.Gone() {
		c.asked, c.id = "", 0 // somebody removed it: look again, once
		err = t.writeBuildComment(ctx, have.repository, c, f)
	}
	if err == nil && c.pull == 0 && f.State == event.Regressed && c.looks < maxLooks {
		if c.looks == 0 {
			t.count(ctx, "no_pull_request")
		}
		c.looks++
		c.asked, c.next = "", t.now().Add(lookForPull)
		return nil // it is untold
	}
	return t.settleBuild(&c.comment, buildCommentKey(f), err)
}

// writeBuildComment writes the comment of a branch, on the pull request that is open
// for it by now: the one before may have been merged.
func (t *teller) writeBuildComment(ctx context.Context, repository string, c *buildBranch, f event.Feedback) error {
	if c.asked != f.Revision {
		pull, err := t.forge.OpenPull(ctx, repository, f.Revision)
		if err != nil {
			return err
		}
		if pull != c.pull {
			c.pull, c.id = pull, 0
		}
		c.asked = f.Revision
	}
	if c.pull == 0 {
		return nil
	}
	// Each time: another replica may have said so, or more, since.
	there, err := t.own(ctx, repository, c.pull, buildMarker)
	if err != nil {
		return err
	}
	if there == nil {
		return t.createBuildComment(ctx, repository, c, f)
	}
	c.id = there.ID
	if began, hash, ok := readBuildImprint(there.Body); ok && (hash == buildHash(f) || began > f.StartedAt.Unix()) {
		t.count(ctx, "comment_unchanged")
		return nil
	}
	if err := t.forge.EditComment(ctx, repository, c.pull, c.id, buildComment(f, t.cfg.ConsoleURL)); err != nil {
		return err
	}
	t.count(ctx, "comment_edited")
	return nil
}

func (t *teller) createBuildComment(ctx context.Context, repository string, c *buildBranch, f event.Feedback) error {
	if f.State != event.Regressed {
		return nil // silence when all is well
	}
	made, err := t.forge.CreateComment(ctx, repository, c.pull, buildComment(f, t.cfg.ConsoleURL))
	if err != nil {
		return err
	}
	t.count(ctx, "comment_created")
	c.id = made.ID
	// Another replica may have done the same at the same moment: all keep the oldest.
	if kept, err := t.own(ctx, repository, c.pull, buildMarker); err != nil {
		return err
	} else if kept != nil {
		c.id = kept.ID
	}
	return nil
}

// buildStatus is the commit status of what builds and tests say: pending while they
// run and nothing is wrong, never green early, and never pending once they are over:
// what proved nothing is an error, which a new run mends.
func buildStatus(f event.Feedback, consoleURL string) forgeapi.Status {
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
	default:
		s.State = forgeapi.Error
	}
	s.Description = wording.OneLine(s.Description, forgeapi.DescriptionLimit)
	return s
}

func buildStatusKey(f event.Feedback) string {
	s := buildStatus(f, "")
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

// maxJobLines bounds what is shown of a job's log; report.Cause chooses fewer.
const maxJobLines = 25

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
		b.WriteString("- " + strings.Join(judgementLines(j), "  \n  ") + "\n") // hard breaks: not every forge keeps a plain one
	}
	for _, p := range f.Production {
		line := markdown(wording.ProductionLine(p))
		if link := consoleLink(consoleURL, p.Deployment); link != "" {
			line += " ([evidence](<" + strings.ReplaceAll(link, ">", "%3E") + ">))"
		}
		b.WriteString("\n**In production:** " + line + "\n")
	}
	if link := changeLink(consoleURL, f.Revision); link != "" {
		b.WriteString("\n[All that builds and tests say](<" + strings.ReplaceAll(link, ">", "%3E") + ">)\n")
	}
	return b.String()
}

// judgementLines are one judgement, where it is, what it says and, of what is worse,
// since when and how to see it again.
func judgementLines(j event.Judgement) []string {
	lines := []string{markdown(wording.JudgementLine(j))}
	if j.Call.Worse() {
		lines[0] = "**" + lines[0] + "**"
	}
	say := func(text string) { lines = append(lines, text) }
	if j.Finding != nil && j.Finding.Message != "" && j.Call.Worse() {
		say(markdown(wording.OneLine(j.Finding.Message, 300)))
	}
	if j.Call == event.NotCertain {
		say(wording.WhyNotCertain)
	}
	if j.Test == nil || !j.Call.Worse() && j.Call != event.KnownFlaky {
		return lines
	}
	switch message := strings.TrimSpace(j.Test.Message); {
	case j.Test.IsJob() && strings.Contains(message, "\n"): // the few lines that say why, with their numbers
		shown := strings.Split(message, "\n")
		if len(shown) > maxJobLines {
			shown = append(shown[:maxJobLines], "…")
		}
		say(strings.ReplaceAll(strings.TrimSpace(fenced("text", strings.Join(shown, "\n"))), "\n", "\n  "))
	case message != "":
		say(markdown(wording.OneLine(message, 300)))
	}
	if j.LastPass != "" && j.Call == event.NewFailure {
		say("passed last at " + code(event.ShortRevision(j.LastPass)))
	}
	if j.Rate > 0 {
		say("fails by itself in " + markdown(wording.Percent(j.Rate)) + " of its runs")
	}
	if again := wording.RunAgain(*j.Test); again != "" && j.Call.Worse() {
		say(code(again))
	}
	return lines
}

func changeLink(consoleURL, revision string) string {
	if consoleURL == "" {
		return ""
	}
	return strings.TrimRight(consoleURL, "/") + "/changes/" + url.PathEscape(revision)
}
