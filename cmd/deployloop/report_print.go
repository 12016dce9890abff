package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// maxAnnotations is GitHub's own limit a step and level.
const maxAnnotations = 10

// oneLine is all that CI needs when all is well.
func oneLine(v judge.Verdict) string {
	parts := []string{fmt.Sprintf("%s: %d passed, %d failed, %d skipped", howMany(v.Tests, "test"), v.Passed, v.Failed, v.Skipped)}
	for _, c := range []struct {
		call      event.Call
		one, many string
	}{
		{event.NewFailure, "new failure", "new failures"}, {event.KnownFlaky, "known flaky", "known flaky"}, {event.AlreadyFailing, "already failing", "already failing"}, {event.Fixed, "fixed", "fixed"},
		{event.Slower, "slower", "slower"}, {event.Worsened, "got worse", "got worse"}, {event.Vanished, "vanished", "vanished"},
		{event.NewFinding, "new finding", "new findings"}, {event.FixedFinding, "finding fixed", "findings fixed"},
	} {
		switch n := v.Count(c.call); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+c.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, c.many))
		}
	}
	if v.Unchanged > 0 {
		parts = append(parts, howMany(v.Unchanged, "finding")+" as before")
	}
	if v.Uncompared > 0 {
		parts = append(parts, howMany(v.Uncompared, "finding")+", taken as the baseline")
	}
	for _, c := range v.Coverage {
		text := fmt.Sprintf("%.1f%% of %s covered", 100*c.Share, c.Unit)
		if c.Before > 0 {
			text += fmt.Sprintf(" (before %.1f%%)", 100*c.Before)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

func printJudgements(w io.Writer, paint terminal.Painter, list []event.Judgement, top int, in places) {
	for i, j := range list {
		if i == top {
			fmt.Fprintf(w, "… and %d more (--top, or --output json)\n", len(list)-top)
			return
		}
		word := strings.ToUpper(strings.ReplaceAll(string(j.Call), "_", " "))
		switch j.Call {
		case event.NewFailure, event.NewFinding:
			word = paint.Bad(word)
		case event.Fixed, event.FixedFinding:
			word = paint.Good(word)
		default:
			word = paint.Warn(word)
		}
		fmt.Fprintf(w, "%s  %s\n", word, paint.Bold(plain(wording.Judged(j))))
		for _, line := range in.details(j) {
			fmt.Fprintf(w, "    %s\n", plain(line))
		}
	}
}

// aFinding is one of a tool's first run: nobody knows whether it is new.
const aFinding event.Call = "finding"

// listed is all that is printed one by one.
func listed(v judge.Verdict) []event.Judgement {
	list := slices.Clone(v.Judgements)
	for _, f := range v.First {
		list = append(list, event.Judgement{Call: aFinding, Finding: &f})
	}
	return list
}

// Escapes of GitHub's workflow commands: a message, and a property, where the
// separators count too.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotateGitHub prints workflow commands that show at the lines of the change.
func annotateGitHub(w io.Writer, list []event.Judgement, in places) {
	told := map[string]int{}
	for _, j := range list {
		level := map[event.Call]string{event.NewFailure: "error", event.NewFinding: "error", event.KnownFlaky: "warning", event.AlreadyFailing: "warning", event.Slower: "warning", event.Worsened: "warning", aFinding: "notice"}[j.Call]
		if level == "" || told[level] == maxAnnotations {
			continue
		}
		told[level]++
		properties := "title=" + githubProperty.Replace(strings.ReplaceAll(string(j.Call), "_", " ")+": "+wording.Judged(j))
		if file, line := in.of(j); file != "" {
			properties = fmt.Sprintf("file=%s,line=%d,%s", githubProperty.Replace(file), max(line, 1), properties)
		}
		fmt.Fprintf(w, "::%s %s::%s\n", level, properties, githubText.Replace(strings.Join(in.details(j), "\n")))
	}
}

// writeCodeQuality writes GitLab's Code Quality report (Code Climate's format).
func writeCodeQuality(path string, list []event.Judgement, in places) error {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		CheckName   string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	issues, nth := []issue{}, map[string]int{}
	for _, j := range list {
		severity := map[event.Call]string{event.NewFailure: "critical", event.NewFinding: "major", event.KnownFlaky: "minor", event.AlreadyFailing: "minor", aFinding: "minor"}[j.Call]
		file, line := in.of(j)
		if severity == "" || file == "" {
			continue
		}
		id := string(j.Call) + "\x00" + wording.Judged(j) + "\x00" + file
		if j.Finding != nil {
			id += "\x00" + j.Finding.Fingerprint
		}
		nth[id]++ // a copied line: GitLab shows one of those that share a fingerprint
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", id, nth[id]))
		issues = append(issues, issue{
			Description: wording.Judged(j) + ": " + strings.Join(wording.JudgementDetails(j), "; "), CheckName: string(j.Call),
			Fingerprint: hex.EncodeToString(sum[:16]), Severity: severity, Location: location{strings.TrimPrefix(file, "./"), lines{max(line, 1)}},
		})
	}
	text, err := json.Marshal(issues)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
