package report

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// What is remembered of one run's rules, and as many artifacts.
const (
	maxRules     = 50_000
	maxRuleBytes = 16 << 20

	maxArtifactBytes = 8 << 20 // of their names
)

// sarif is the state of reading one run of a SARIF log (2.1.0 §3.14; 2.0 and the
// 2.2 draft read alike). Results are streamed; rules, which they refer to, are
// held and stand before them in what known tools write.
type sarif struct {
	p         *parse
	w         *jsonWalk
	tool      string
	rules     []sarifRule
	rulesSize int // bytes
	rulesLeft int // that are not remembered
	byID      map[string]int
	named     bool          // the tool was read, or is not waited for
	held      []sarifResult // that stand before the tool, which says of whom and of what rule they are
	heldSize  int           // bytes
	late      int           // results told without their tool, since there were too many to hold
	ran       bool          // it has results, be they none: null or absent means that nothing was looked for (§3.14.23)
	failed    bool          // it says that it did not succeed
	elsewhere bool          // it has results that were not read
	results   int
	artifacts []sarifPlace
	bases     map[string]sarifPlace // what places are relative to, by name

	artifactsSize int  // bytes
	artifactsFull bool // not all are in it

	unplaced  int         // results whose file is an index that was not read yet
	offsets   []int       // where in rules those of each extension begin
	overrides []sarifRule // levels that this run was asked for, by rule
}

type sarifRule struct {
	id, level, text string
	messages        map[string]string
}

func parseSARIF(p *parse) error {
	w := newJSONWalk(p.in)
	runs, external := false, false
	err := w.object(func(name string) error {
		switch name {
		case "runs":
			runs = true
			return w.array(func() error { return (&sarif{p: p, w: w, tool: noTool, byID: map[string]int{}}).run() })
		case "inlineExternalProperties":
			p.problem("inlineExternalProperties were not read: the results in them are missing")
		case "externalizedProperties":
			external = true
		}
		return w.skip()
	})
	if w.guard.dropped > 0 {
		p.problem("%d bytes of strings longer than %d KiB were left out", w.guard.dropped, maxJSONString>>10)
	}
	switch {
	case err != nil:
		return w.broken(err)
	case external && !runs:
		return errors.New("it is an external property file of SARIF, which holds no runs: send the log that refers to it")
	case !runs:
		return errors.New("it has no runs, so it is no SARIF log")
	}
	return nil
}

// noTool stands for the name that a run must give and does not.
const noTool = "(no tool)"

func (s *sarif) run() error {
	err := s.w.object(func(name string) error {
		switch name {
		case "tool":
			err := s.w.object(func(part string) error {
				if part == "driver" {
					return s.component(true)
				}
				if part == "extensions" {
					return s.w.array(func() error {
						if len(s.offsets) < maxRules {
							s.offsets = append(s.offsets, len(s.rules))
						}
						return s.component(false)
					})
				}
				return s.w.skip()
			})
			s.named = true
			return err
		case "originalUriBaseIds":
			return s.w.object(s.base)
		case "artifacts":
			return s.w.array(s.artifact)
		case "results":
			return s.w.composite('[', func() error {
				s.ran = true
				return s.w.each(s.result)
			})
		case "invocations":
			return s.w.array(s.invocation)
		case "externalPropertyFileReferences":
			return s.externals()
		}
		return s.w.skip()
	})
	if told := s.tellHeld(); err == nil {
		err = told
	}
	if s.failed && s.ran && s.results == 0 {
		s.ran = false
		s.p.problem("a run of %s says that it did not succeed: that it found nothing is not believed", s.tool)
	}
	if s.ran && !s.elsewhere && err == nil {
		s.p.ran(s.tool)
	}
	if s.unplaced > 0 {
		why := "lists its artifacts after its results"
		if s.artifactsFull {
			why = fmt.Sprintf("has more than %d artifacts or %d MiB of their names", maxRules, maxArtifactBytes>>20)
		}
		s.p.problem("a run %s: of %d results the file is not known", why, s.unplaced)
	}
	if s.rulesLeft > 0 {
		s.p.problem("a run has more than %d rules or %d MiB of them: %d were left out, so that findings of them may lack their level and text", maxRules, maxRuleBytes>>20, s.rulesLeft)
	}
	if s.late > 0 {
		s.p.problem("a run names its tool after its results: beyond %d of them or %d MiB, %d were read without tool and rules", maxHeldResults, maxRuleBytes>>20, s.late)
	}
	return err
}

// words reads a message or a multiformat message string.
func (s *sarif) words(text, id *string, arguments *[]string) error {
	return s.w.object(func(name string) error {
		switch {
		case name == "text":
			return s.w.text(text)
		case name == "id" && id != nil:
			return s.w.text(id)
		case name == "arguments" && arguments != nil:
			return s.w.array(func() error {
				var a string
				err := s.w.text(&a)
				if len(*arguments) < 50 {
					*arguments = append(*arguments, a)
				}
				return err
			})
		}
		return s.w.skip()
	})
}

func (s *sarif) artifact() error {
	var of sarifPlace
	err := s.w.object(func(name string) error {
		if name == "location" {
			return s.placeOf(&of)
		}
		return s.w.skip()
	})
	of.uri, of.base = cut(of.uri, maxName), cut(of.base, maxName)
	size := len(of.uri) + len(of.base)
	if s.artifactsFull = s.artifactsFull || len(s.artifacts) == maxRules || s.artifactsSize+size > maxArtifactBytes; s.artifactsFull {
		return err // so are all that follow: results name them by their place
	}
	s.artifacts, s.artifactsSize = append(s.artifacts, of), s.artifactsSize+size
	return err
}

func (s *sarif) result() error {
	s.results++
	r := sarifResult{ruleIndex: -1, artifactIndex: -1, extension: -1}
	f := &r.finding
	baseline, suppressed := "", false
	err := s.w.object(func(name string) error {
		switch name {
		case "ruleId":
			return s.w.text(&f.Rule)
		case "ruleIndex":
			return s.w.number(&r.ruleIndex)
		case "rule":
			return s.w.object(func(name string) error {
				switch {
				case name == "id" && f.Rule == "":
					return s.w.text(&f.Rule)
				case name == "index":
					return s.w.number(&r.ruleIndex)
				case name == "toolComponent":
					return s.w.object(func(name string) error {
						if name == "index" {
							return s.w.number(&r.extension)
						}
						return s.w.skip()
					})
				}
				return s.w.skip()
			})
		case "analysisTarget":
			return s.placeOf(&r.target)
		case "level":
			return s.w.text(&f.Level)
		case "kind":
			return s.w.text(&r.kind)
		case "baselineState":
			return s.w.text(&baseline)
		case "message":
			return s.words(&r.text, &r.messageID, &r.arguments)
		case "locations":
			return s.w.array(func() error {
				if r.place.uri != "" || r.artifactIndex >= 0 {
					return s.w.skip()
				}
				return s.location(&r)
			})
		case "suppressions":
			return s.w.array(func() error {
				status := "accepted"
				err := s.w.object(func(name string) error {
					if name == "status" || name == "state" {
						return s.w.text(&status)
					}
					return s.w.skip()
				})
				suppressed = suppressed || status == "accepted"
				return err
			})
		case "fingerprints":
			return s.prints(&r.whole)
		case "partialFingerprints":
			return s.prints(&r.partial)
		}
		return s.w.skip()
	})
	if err != nil {
		return err
	}
	if suppressed || baseline == "absent" || r.kind == "pass" || r.kind == "notApplicable" {
		s.p.sum.Suppressed++
		return nil
	}
	if s.named {
		return s.tell(r)
	}
	return s.hold(r)
}

func (s *sarif) ruleOf(f *event.Finding, index float64) sarifRule {
	if i := int(index); i >= 0 && i < len(s.rules) && (f.Rule == "" || s.rules[i].id == f.Rule || strings.HasPrefix(f.Rule, s.rules[i].id+"/")) {
		if f.Rule == "" {
			f.Rule = s.rules[i].id
		}
		return s.rules[i]
	}
	id, _, _ := strings.Cut(f.Rule, "/") // a rule may be told by a part of it: CA1000/1
	for _, id := range []string{f.Rule, id} {
		if i, known := s.byID[id]; known {
			return s.rules[i]
		}
	}
	return sarifRule{}
}

func (s *sarif) location(r *sarifResult) error {
	return s.w.object(func(name string) error {
		if name != "physicalLocation" {
			return s.w.skip()
		}
		return s.w.object(func(name string) error {
			switch name {
			case "artifactLocation":
				return s.w.object(func(name string) error {
					switch name {
					case "uri":
						return s.w.text(&r.place.uri)
					case "uriBaseId":
						return s.w.text(&r.place.base)
					case "index":
						return s.w.number(&r.artifactIndex)
					}
					return s.w.skip()
				})
			case "region":
				return s.w.object(func(name string) error {
					if name == "startLine" {
						var line float64
						err := s.w.number(&line)
						r.finding.Line = int(min(max(line, 0), 1e9))
						return err
					}
					return s.w.skip()
				})
			}
			return s.w.skip()
		})
	})
}

func (s *sarif) prints(into *map[string]string) error {
	*into = map[string]string{}
	return s.w.object(func(name string) error {
		var value string
		err := s.w.text(&value)
		if len(*into) < 20 && value != "" {
			(*into)[cut(name, maxName)] = cut(value, maxName)
		}
		return err
	})
}

// sarifPath is the path that a URI of an artifact means.
func sarifPath(uri string) string {
	if u, err := url.Parse(uri); err == nil && (u.Scheme == "" || u.Scheme == "file") && u.Path != "" {
		return u.Path
	}
	return uri
}

var placeholder = regexp.MustCompile(`\{(\d{1,2})\}`)

// fill puts arguments into a message's placeholders.
func fill(text string, arguments []string) string {
	if len(arguments) == 0 {
		return text
	}
	return placeholder.ReplaceAllStringFunc(cut(text, maxMessage), func(mark string) string {
		if i, err := strconv.Atoi(mark[1 : len(mark)-1]); err == nil && i < len(arguments) {
			return cut(arguments[i], maxName)
		}
		return mark
	})
}

// fingerprint is what makes a finding the same one in another run: the tool's own
// print, else what it is and where, without the line, which moves with each edit
// above it.
func fingerprint(f event.Finding, whole, partial map[string]string) string {
	for _, prints := range []map[string]string{whole, partial} {
		if len(prints) == 0 {
			continue
		}
		names := make([]string, 0, len(prints))
		for name := range prints {
			names = append(names, name)
		}
		slices.Sort(names)
		name := names[len(names)-1] // the highest version
		if prints["primaryLocationLineHash"] != "" {
			name = "primaryLocationLineHash"
		}
		return digest(f.Tool, f.Rule, f.File, prints[name])
	}
	return digest(f.Tool, f.Rule, f.File, logpattern.Mask(f.Message))
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
