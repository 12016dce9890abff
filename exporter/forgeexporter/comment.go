package forgeexporter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// marker begins the comment of an environment and service, and finds it again.
// The parts are escaped so that none can end the HTML comment.
func marker(d event.Deployment) string {
	return "<!-- deployloop:verdict:" + url.QueryEscape(d.Environment) + "/" + url.QueryEscape(d.Service) + " -->"
}

// imprint is the comment's second line: which deployment it speaks of, when
// that began (Unix seconds), whether it is closed, and the hash of its state.
// It is all that a restart or another replica needs to know.
type imprint struct {
	deployment string
	started    int64
	closed     bool
	hash       string
}

var imprintShape = regexp.MustCompile(`^<!-- deployloop:state:(\S*):(-?\d+):(open|closed):([0-9a-f]{16}) -->`)

func imprintOf(t told) imprint {
	sum := sha256.Sum256([]byte(commentKey(t)))
	return imprint{
		deployment: url.QueryEscape(t.verdict.Deployment.ID), started: t.verdict.Deployment.StartedAt.Unix(),
		closed: t.closure != nil, hash: hex.EncodeToString(sum[:8]),
	}
}

func (i imprint) line() string {
	state := "open"
	if i.closed {
		state = "closed"
	}
	return fmt.Sprintf("<!-- deployloop:state:%s:%d:%s:%s -->", i.deployment, i.started, state, i.hash)
}

func readImprint(body string) (imprint, bool) {
	_, rest, _ := strings.Cut(body, "\n")
	m := imprintShape.FindStringSubmatch(rest)
	if m == nil {
		return imprint{}, false
	}
	started, err := strconv.ParseInt(m[2], 10, 64)
	return imprint{deployment: m[1], started: started, closed: m[3] == "closed", hash: m[4]}, err == nil
}

// outdates tells whether a comment that says i must not be changed to say
// next: it says so already, it speaks of a later deployment, or it closed and
// what comes is a heartbeat from before that.
func (i imprint) outdates(next imprint) bool {
	if i.deployment != next.deployment {
		return i.started > next.started
	}
	return i.hash == next.hash || i.closed && !next.closed
}

// commentKey is what a comment says, without its figures: it is edited only
// when this changes.
func commentKey(t told) string {
	suspect := ""
	if s := t.verdict.Suspicion; s != nil && !s.Abstained && len(s.Suspects) > 0 {
		suspect = s.Suspects[0].Change.Revision
	}
	return stateKey(t) + "\x00" + suspect
}

// commits are where a comment may belong, best first: the suspect, then the
// deployment's head. Only the first that came by a pull request gets it.
func commits(v event.Verdict) []string {
	var list []string
	if s := v.Suspicion; s != nil && !s.Abstained && len(s.Suspects) > 0 && commit.MatchString(s.Suspects[0].Change.Revision) {
		list = append(list, s.Suspects[0].Change.Revision)
	}
	if head := v.Deployment.Revision; commit.MatchString(head) && (len(list) == 0 || list[0] != head) {
		list = append(list, head)
	}
	return list
}

// maxRows bounds the indicators in a comment's table.
const maxRows = 8

// commentOf writes the comment. ofSuspect: it stands on the suspect's pull
// request, not merely on the head's.
func commentOf(t told, cfg *Config, ofSuspect bool) string {
	v := t.verdict
	var b strings.Builder
	b.WriteString(marker(v.Deployment) + "\n" + imprintOf(t).line() + "\n")
	title := markdown(wording.Headline(v))
	if v.State == event.Regressed && t.closure == nil {
		if ofSuspect {
			title += " after this merged"
		} else {
			title += " after this was deployed"
		}
	}
	b.WriteString("### " + title + "\n\n")
	if c := t.closure; c != nil {
		b.WriteString("**Closed:** " + markdown(wording.Resolution(*c)) + "\n\n")
	}
	if v.State != event.Regressed {
		b.WriteString(markdown(wording.Reason(v)) + "\n")
		writeLink(&b, cfg.ConsoleURL, v)
		return b.String()
	}
	b.WriteString(markdown(wording.WhatChanged(v)) + "\n\n")
	why := markdown(wording.Why(event.Anomaly{Kind: event.KindDeployment, Verdict: &v}))
	if impact := wording.ImpactLine(v.Impact); impact != "" {
		why += " · " + markdown(impact)
	}
	b.WriteString(why + "\n\n")
	if affected := wording.AffectedLine(v.Affected); affected != "" {
		b.WriteString("**Callers that feel it:** " + markdown(affected) + "\n\n")
	}
	writeTable(&b, v)
	if suspect := wording.SuspectSentence(v.Suspicion); suspect != "" {
		heading := "Suspect"
		if ofSuspect {
			heading = "Why this commit"
		}
		b.WriteString("**" + heading + ":** " + markdown(suspect) + "\n\n")
	}
	if caption, diff := wording.ChangedPlace(v.Suspicion); diff != "" {
		b.WriteString(code(caption) + "\n\n" + fenced("diff", diff) + "\n")
	}
	if who, said, ok := strings.Cut(wording.BuildsSentence(v.Builds), ": "); ok {
		b.WriteString("**" + who + ":** " + markdown(said) + "\n\n")
	}
	if t.closure == nil {
		writeFixes(&b, v, cfg.honoursWaivers())
	}
	writeLink(&b, cfg.ConsoleURL, v)
	return b.String()
}

// writeTable puts the strongest indicators before and after side by side.
func writeTable(b *strings.Builder, v event.Verdict) {
	if len(v.Evidence) == 0 {
		return
	}
	label := func(word, version string) string {
		if version = markdown(wording.OneLine(version, 40)); version != "" {
			return word + " (" + version + ")"
		}
		return word
	}
	fmt.Fprintf(b, "| | %s | %s | change | certain? |\n|---|---|---|---|---|\n",
		label("before", v.Deployment.PreviousLabel()), label("after", v.Deployment.Label()))
	for _, e := range v.Evidence[:min(len(v.Evidence), maxRows)] {
		change := markdown(wording.Difference(e.After-e.Before, e.Unit))
		certain := markdown(wording.Interval(e.Interval, e.Unit))
		switch {
		case e.Harm:
			change = "**" + change + "**"
		case e.Improved:
			change += " (better)"
		case e.Within:
			certain = "within tolerance"
		default:
			certain = "not certain"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", markdown(wording.Subject(e, v.Related)),
			markdown(wording.Value(e.Before, e.Unit)), markdown(wording.Value(e.After, e.Unit)), change, certain)
	}
	b.WriteString("\n")
}

// writeFixes lists the ways out; a command stands in a code span, untouched.
func writeFixes(b *strings.Builder, v event.Verdict, waivers bool) {
	var fixes []string
	if fix, isCommand := wording.Rollback(v); isCommand {
		fixes = append(fixes, "- "+code(fix))
	} else if fix != "" { // in words
		fixes = append(fixes, "- "+markdown(fix))
	}
	if fix := wording.FixForward(v.Suspicion); fix != "" {
		fixes = append(fixes, "- "+code(fix))
	}
	if waivers {
		fixes = append(fixes, "- reply "+code(waiveWord+" REASON")+", or "+code(waiveWord+" until "+v.At.AddDate(0, 1, 0).Format(time.DateOnly)+" REASON")+", if this is accepted for now")
	}
	if len(fixes) > 0 {
		b.WriteString("**Do one of:**\n\n" + strings.Join(fixes, "\n") + "\n\n")
	}
}

func writeLink(b *strings.Builder, consoleURL string, v event.Verdict) {
	if link := consoleLink(consoleURL, v.Deployment.ID); link != "" {
		b.WriteString("\n[All the evidence, and how each commit was scored](<" + strings.ReplaceAll(link, ">", "%3E") + ">)\n")
	}
}
