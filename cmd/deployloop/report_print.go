package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/logpattern"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// maxAnnotations is GitHub's own limit a step and level.
const maxAnnotations = 10

// oneLine is all that CI needs when all is well.
func oneLine(v judge.Verdict) string {
	parts := []string{fmt.Sprintf("%d tests: %d passed, %d failed, %d skipped", v.Tests, v.Passed, v.Failed, v.Skipped)}
	for _, c := range []struct {
		call judge.Call
		word string
	}{
		{judge.NewFailure, "new failures"}, {judge.KnownFlaky, "known flaky"}, {judge.AlreadyFailing, "already failing"}, {judge.Fixed, "fixed"},
		{judge.Slower, "slower"}, {judge.Vanished, "vanished"}, {judge.NewFinding, "new findings"}, {judge.FixedFinding, "findings fixed"},
	} {
		if n := v.Count(c.call); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.word))
		}
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

func printJudgements(w io.Writer, paint terminal.Painter, list []judge.Judgement, top int) {
	for i, j := range list {
		if i == top {
			fmt.Fprintf(w, "… and %d more (--top, or --output json)\n", len(list)-top)
			return
		}
		word := strings.ToUpper(strings.ReplaceAll(string(j.Call), "_", " "))
		switch j.Call {
		case judge.NewFailure, judge.NewFinding:
			word = paint.Bad(word)
		case judge.Fixed, judge.FixedFinding:
			word = paint.Good(word)
		default:
			word = paint.Warn(word)
		}
		fmt.Fprintf(w, "%s  %s\n", word, paint.Bold(plain(judged(j))))
		for _, line := range details(j) {
			fmt.Fprintf(w, "    %s\n", plain(line))
		}
	}
}

// judged is what a judgement is about.
func judged(j judge.Judgement) string {
	switch {
	case j.Test != nil:
		return strings.TrimSpace(j.Test.Suite + " " + j.Test.Case)
	case j.Finding != nil:
		return strings.TrimSpace(j.Finding.Tool + " " + j.Finding.Rule)
	}
	return j.Measure
}

// details are where, why, since when, and how to see it again.
func details(j judge.Judgement) []string {
	var lines []string
	if f := j.Finding; f != nil {
		return []string{fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)}
	}
	if s := j.Shift; s != nil {
		lines = append(lines, fmt.Sprintf("%.4g → %.4g %s (×%.2f), over the last %d runs; last good %s, first bad %s", s.Before, s.After, j.Unit, s.Ratio, s.Runs, orUnknown(s.LastGood), orUnknown(s.FirstBad)))
		return lines
	}
	t := j.Test
	if t == nil {
		return nil
	}
	failing := j.Call == judge.NewFailure || j.Call == judge.KnownFlaky || j.Call == judge.AlreadyFailing
	if failing {
		if t.File != "" {
			lines = append(lines, fmt.Sprintf("at %s:%d", t.File, t.Line))
		}
		for i, line := range strings.Split(strings.TrimSpace(t.Message), "\n") {
			if i == 8 {
				break
			}
			if line != "" {
				lines = append(lines, line)
			}
		}
		for _, frame := range logpattern.ParseStack(t.Stacktrace) {
			if logpattern.InApp(frame) && frame.Function != "" {
				lines = append(lines, fmt.Sprintf("in %s (%s:%d)", frame.Function, frame.File, frame.Line))
				break
			}
		}
	}
	if j.Rate > 0 {
		lines = append(lines, fmt.Sprintf("fails by itself in %.1f%% of runs (95%%: %.1f–%.1f%%)", 100*j.Rate, 100*j.Interval[0], 100*j.Interval[1]))
	}
	if j.LastPass != "" && j.Call != judge.KnownFlaky {
		lines = append(lines, "last passed at "+event.ShortRevision(j.LastPass))
	}
	if j.Call == judge.AlreadyFailing {
		lines = append(lines, fmt.Sprintf("failing since %s, %d runs", orUnknown(j.FirstBad), j.Streak))
	}
	if command := again(*t); failing && command != "" {
		lines = append(lines, "again: "+command)
	}
	return lines
}

func orUnknown(revision string) string {
	if revision == "" {
		return "an unknown revision"
	}
	return event.ShortRevision(revision)
}

// again is the command that runs the test once more, where its runner is known by
// its names. It is meant to be pasted, and the names come from outside.
func again(t event.TestResult) string {
	quoted := wording.ShellQuote
	if wording.IsOption(t.Suite) || wording.IsOption(t.Case) || wording.IsOption(t.File) {
		return ""
	}
	switch {
	case strings.HasPrefix(t.Case, "["):
		return "go vet " + quoted(t.Suite)
	case strings.HasSuffix(t.File, ".go"), t.File == "" && strings.HasPrefix(t.Case, "Test") && strings.Contains(t.Suite, "/"):
		parts := strings.Split(t.Case, "/")
		for i, p := range parts {
			parts[i] = "^" + regexp.QuoteMeta(p) + "$"
		}
		return "go test -count=1 -run " + quoted(strings.Join(parts, "/")) + " " + quoted(t.Suite)
	case strings.HasSuffix(t.File, ".py"):
		name, _, _ := strings.Cut(t.Case, "[")
		return "pytest " + quoted(t.File) + " -k " + quoted(name)
	case strings.HasSuffix(t.File, ".java"), strings.HasSuffix(t.File, ".kt"):
		return "mvn test " + quoted("-Dtest="+t.Suite+"#"+t.Case)
	}
	return ""
}

// Escapes of GitHub's workflow commands: a message, and a property, where the
// separators count too.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotateGitHub prints workflow commands that show at the lines of the change.
func annotateGitHub(w io.Writer, list []judge.Judgement) {
	told := map[string]int{}
	for _, j := range list {
		level := map[judge.Call]string{judge.NewFailure: "error", judge.NewFinding: "error", judge.KnownFlaky: "warning", judge.AlreadyFailing: "warning", judge.Slower: "warning"}[j.Call]
		if level == "" || told[level] == maxAnnotations {
			continue
		}
		told[level]++
		properties := "title=" + githubProperty.Replace(strings.ReplaceAll(string(j.Call), "_", " ")+": "+judged(j))
		if file, line := placeOf(j); file != "" {
			properties = fmt.Sprintf("file=%s,line=%d,%s", githubProperty.Replace(file), max(line, 1), properties)
		}
		fmt.Fprintf(w, "::%s %s::%s\n", level, properties, githubText.Replace(strings.Join(details(j), "\n")))
	}
}

func placeOf(j judge.Judgement) (string, int) {
	switch {
	case j.Test != nil:
		return j.Test.File, j.Test.Line
	case j.Finding != nil:
		return j.Finding.File, j.Finding.Line
	}
	return "", 0
}

// writeCodeQuality writes GitLab's Code Quality report (Code Climate's format).
func writeCodeQuality(path string, list []judge.Judgement) error {
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
	issues := []issue{}
	for _, j := range list {
		severity := map[judge.Call]string{judge.NewFailure: "critical", judge.NewFinding: "major", judge.KnownFlaky: "minor", judge.AlreadyFailing: "minor"}[j.Call]
		file, line := placeOf(j)
		if severity == "" || file == "" {
			continue
		}
		sum := sha256.Sum256([]byte(string(j.Call) + "\x00" + judged(j) + "\x00" + file))
		issues = append(issues, issue{
			Description: judged(j) + ": " + strings.Join(details(j), "; "), CheckName: string(j.Call),
			Fingerprint: hex.EncodeToString(sum[:16]), Severity: severity, Location: location{strings.TrimPrefix(file, "./"), lines{max(line, 1)}},
		})
	}
	text, err := json.Marshal(issues)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
