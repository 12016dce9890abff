// Package forge reads what forges, CI and CD tools say in their webhooks. Each
// source is one file with one pure function from a delivery to an Intake; the
// receiver authenticates, deduplicates and sends on.
//
// A function returns an error only for a payload that is not what its headers
// say it is. What is authentic but says nothing about a change on its way gives
// an empty Intake with the reason, because a forge disables a webhook that keeps
// failing.
package forge

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Delivery is one webhook request whose authenticity is established.
type Delivery struct {
	Event      string    // what the headers call the event, "" where the source has no such header
	ID         string    // the source's id of the delivery, the same when it is sent again; "" when it has none
	Body       []byte    // JSON
	ReceivedAt time.Time // stands in for times that the payload lacks
}

// Intake is what a delivery says. Ignored is why it says nothing.
type Intake struct {
	Changes     []event.Change
	Runs        []Run
	Deployments []event.Deployment
	Tests       []event.TestResult
	Findings    []event.Finding
	Ignored     string

	// Of reports only.
	Measurements []event.Measurement
	Reports      []event.Report
}

// Run is a pipeline run with what only its span tree needs.
type Run struct {
	event.PipelineRun
	Steps []Step
}

// Step is one step of a task.
type Step struct {
	Name, Result          string // Result as in event.PipelineRun
	StartedAt, FinishedAt time.Time
}

func ignored(format string, args ...any) Intake {
	return Intake{Ignored: fmt.Sprintf(format, args...)}
}

// Limits of what one payload may bring; a payload's size is limited by the
// receiver, these keep what is kept of it small.
const (
	maxCommits  = 2048 // GitHub's own limit of a push payload
	maxPaths    = 2000 // per commit and kind
	maxSteps    = 1000 // per task
	maxText     = 4096 // bytes of a name, URL or command
	maxMessage  = 16384
	maxEntities = 2000 // runs or findings of one payload
)

// cut bounds text from outside without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

func cutList(list []string, limit int) []string {
	if len(list) == 0 {
		return nil
	}
	list = list[:min(len(list), limit)]
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = cut(s, maxText)
	}
	return out
}

// unmarshal reads a payload; its error is one line for the sender.
func unmarshal(source string, body []byte, target any) error {
	if err := json.Unmarshal(body, target); err != nil {
		return fmt.Errorf("the %s payload is not what its event says: %w", source, err)
	}
	return nil
}

// moment is a time in any of the spellings that webhooks use: RFC 3339, the same
// with a space, Unix seconds or milliseconds, null. One that cannot be read is
// zero: a payload is not refused for a date.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "" || text == "null" {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > 0 && n < 1e11 {
			m.Time = time.Unix(n, 0).UTC()
		} else if n >= 1e11 && n < 1e14 {
			m.Time = time.UnixMilli(n).UTC()
		}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil && t.Unix() > 0 {
			m.Time = t.UTC()
			return nil
		}
	}
	return nil
}

// imageTag is the tag of a container image, "" for none or a digest.
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, _ := strings.Cut(name, ":")
	if tag == "latest" {
		return "" // names nothing
	}
	return cut(tag, maxText)
}

// isRevision tells a git commit id, whole or abbreviated, from a version.
func isRevision(s string) bool {
	return len(s) >= 7 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == "" && strings.ContainsAny(s, "abcdef")
}

// firstTime is the first of times that is known.
func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func firstText(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// isZeroRevision tells git's all-zero id, which stands for "nothing".
func isZeroRevision(revision string) bool {
	return strings.Trim(revision, "0") == ""
}

// versionOf reads a version out of a git ref: a tag that looks like one, without
// refs/tags/ and a component's prefix ("checkout/v1.2.3" is v1.2.3, since that is
// what telemetry calls it). Branches and commit ids are none.
func versionOf(ref string) string {
	tag := strings.TrimPrefix(ref, "refs/tags/")
	if strings.HasPrefix(tag, "refs/") {
		return ""
	}
	tag = tag[strings.LastIndexByte(tag, '/')+1:]
	number := strings.TrimPrefix(tag, "v")
	head, rest, dotted := strings.Cut(number, ".")
	if !dotted || head == "" || strings.Trim(head, "0123456789") != "" || rest == "" || rest[0] < '0' || rest[0] > '9' {
		return ""
	}
	return cut(tag, maxText)
}

// stageOf guesses the stage of a pipeline or task from the words of its name;
// "" when no word tells.
func stageOf(names ...string) event.Stage {
	for _, name := range names {
		words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !('a' <= r && r <= 'z') })
		for _, word := range words {
			switch word {
			case "deploy", "deployment", "release", "rollout", "promote", "publish", "cd":
				return event.StageDeploy
			case "test", "tests", "unit", "integration", "smoke", "lint", "linters", "check", "verify":
				return event.StageTest
			case "build", "compile", "package", "image", "docker":
				return event.StageBuild
			}
		}
	}
	return ""
}

// webURL keeps a link that a page may show: http or https, nothing that a
// browser would run.
func webURL(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return cut(s, maxText)
	}
	return ""
}
