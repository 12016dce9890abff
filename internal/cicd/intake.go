// Package cicd holds what the sources of changes on their way to production have
// in common: what a delivery is, and what it says. Each source (a forge, a CI or
// CD tool) is a package below with one pure function from a Delivery to an Intake;
// the receiver authenticates, deduplicates and sends on.
//
// A function returns an error only for a payload that is not what its headers
// say it is. What is authentic but says nothing about a change on its way gives
// an empty Intake with the reason, because a forge disables a webhook that keeps
// failing.
package cicd

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
	Changes     []event.Change     `json:"changes,omitempty"`
	Runs        []Run              `json:"runs,omitempty"`
	Deployments []event.Deployment `json:"deployments,omitempty"`
	Tests       []event.TestResult `json:"tests,omitempty"`
	Findings    []event.Finding    `json:"findings,omitempty"`
	Ignored     string             `json:"ignored,omitempty"`

	// Of reports only.
	Measurements []event.Measurement `json:"measurements,omitempty"`
	Reports      []event.Report      `json:"reports,omitempty"`
}

// Run is a pipeline run with what only its span tree and its metrics need.
type Run struct {
	event.PipelineRun
	Steps []Step `json:"steps,omitempty"`
	// Component is the part of the CI system that failed (controller, scheduler,
	// worker), where the source says that it was no fault of what was built.
	Component string `json:"component,omitempty"`
}

// Step is one step of a task.
type Step struct {
	Name       string    `json:"name"`
	Result     string    `json:"result,omitempty"` // as in event.PipelineRun
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

func Ignored(format string, args ...any) Intake {
	return Intake{Ignored: fmt.Sprintf(format, args...)}
}

// Limits of what one payload may bring; a payload's size is limited by the
// receiver, these keep what is kept of it small.
const (
	MaxCommits  = 2048 // GitHub's own limit of a push payload
	MaxPaths    = 2000 // per commit and kind
	MaxSteps    = 1000 // per task
	MaxText     = 4096 // bytes of a name, URL or command
	MaxMessage  = 16384
	MaxEntities = 2000 // runs or findings of one payload
)

// Cut bounds text from outside without breaking a character.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

func CutList(list []string, limit int) []string {
	if len(list) == 0 {
		return nil
	}
	list = list[:min(len(list), limit)]
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Cut(s, MaxText)
	}
	return out
}

// Unmarshal reads a payload; its error is one line for the sender.
func Unmarshal(source string, body []byte, target any) error {
	if err := json.Unmarshal(body, target); err != nil {
		return fmt.Errorf("the %s payload is not what its event says: %w", source, err)
	}
	return nil
}

// Moment is a time in any of the spellings that webhooks use: RFC 3339, the same
// with a space, Unix seconds or milliseconds, null. One that cannot be read is
// zero: a payload is not refused for a date.
type Moment struct{ time.Time }

func (m *Moment) UnmarshalJSON(data []byte) error {
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

// ImageTag is the tag of a container image, "" for none or a digest.
func ImageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, _ := strings.Cut(name, ":")
	if tag == "latest" {
		return "" // names nothing
	}
	return Cut(tag, MaxText)
}

// CommonTag is the tag that all tagged images share; sidecars with another make
// it unknown.
func CommonTag(images []string) string {
	tag := ""
	for _, image := range images {
		switch t := ImageTag(image); {
		case t == "" || t == tag:
		case tag == "":
			tag = t
		default:
			return ""
		}
	}
	return tag
}

// IsRevision tells a git commit id, whole or abbreviated, from a version.
func IsRevision(s string) bool {
	return len(s) >= 7 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == "" && strings.ContainsAny(s, "abcdef")
}

// FirstTime is the first of times that is known.
func FirstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func FirstText(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// IsZeroRevision tells git's all-zero id, which stands for "nothing".
func IsZeroRevision(revision string) bool {
	return strings.Trim(revision, "0") == ""
}

// VersionOf reads a version out of a git ref: a tag that looks like one, without
// refs/tags/ and a component's prefix ("checkout/v1.2.3" is v1.2.3, since that is
// what telemetry calls it). Branches and commit ids are none.
func VersionOf(ref string) string {
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
	return Cut(tag, MaxText)
}

// StageOf guesses the stage of a pipeline or task from the words of its name;
// "" when no word tells.
func StageOf(names ...string) event.Stage {
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

// WebURL keeps a link that a page may show: http or https, nothing that a
// browser would run.
func WebURL(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return Cut(s, MaxText)
	}
	return ""
}
