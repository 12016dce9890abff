package forge

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// CDEvents reads an event of any version of https://cdevents.dev by its subject
// and predicate: the event alone, in a structured CloudEvent, or a batch of
// these.
func CDEvents(d Delivery) (Intake, error) {
	body := bytes.TrimSpace(d.Body)
	events := []json.RawMessage{body}
	if len(body) > 0 && body[0] == '[' {
		if err := unmarshal("cdevents batch", body, &events); err != nil {
			return Intake{}, err
		}
		if len(events) > maxEntities {
			return Intake{}, errors.New("the cdevents batch holds more than 2000 events: send fewer at once")
		}
	}
	var in Intake
	for _, raw := range events {
		one, err := cdEvent(raw, d.ReceivedAt)
		if err != nil {
			return Intake{}, err
		}
		in.Changes = append(in.Changes, one.Changes...)
		in.Runs = append(in.Runs, one.Runs...)
		in.Deployments = append(in.Deployments, one.Deployments...)
		in.Tests = append(in.Tests, one.Tests...)
		in.Ignored = firstText(in.Ignored, one.Ignored)
	}
	if len(in.Changes)+len(in.Runs)+len(in.Deployments)+len(in.Tests) > 0 {
		in.Ignored = ""
	} else {
		in.Ignored = firstText(in.Ignored, "the batch is empty")
	}
	return in, nil
}

type cdThing struct{ ID, Name, Source string }

type cdEnvelope struct {
	Data    json.RawMessage // of a structured CloudEvent
	Context struct {
		ID, Source, Type string
		Timestamp        moment
	}
	Subject struct {
		ID      string
		Content struct {
			// service.*
			Environment cdThing
			ArtifactID  string `json:"artifactId"`
			// pipelinerun.*, taskrun.*
			PipelineName string
			TaskName     string
			PipelineRun  cdThing
			URI, URL     string // url before 0.4
			Outcome      string
			Errors       string
			// testcaserun.*, testsuiterun.*
			Reason       string
			TestCase     cdThing
			TestSuite    cdThing
			TestSuiteRun cdThing
			// change.*
			Repository cdThing
		}
	}
	CustomData json.RawMessage
}

func cdEvent(raw json.RawMessage, now time.Time) (Intake, error) {
	var e cdEnvelope
	if err := unmarshal("cdevents", raw, &e); err != nil {
		return Intake{}, err
	}
	if e.Context.Type == "" && len(e.Data) > 0 {
		data := e.Data
		e = cdEnvelope{}
		if err := unmarshal("cdevents", data, &e); err != nil {
			return Intake{}, err
		}
	}
	if e.Context.Type == "" {
		return Intake{}, errors.New("the cdevents payload has no context.type: is it a CDEvent?")
	}
	name, known := strings.CutPrefix(strings.ToLower(e.Context.Type), "dev.cdevents.")
	subject, rest, _ := strings.Cut(name, ".")
	predicate, _, _ := strings.Cut(rest, ".")
	if !known || e.Subject.ID == "" {
		return ignored("event %s is none that says something about a change on its way", cut(e.Context.Type, 128)), nil
	}
	at := firstTime(e.Context.Timestamp.Time, now)
	switch subject {
	case "service":
		return e.service(predicate, at), nil
	case "pipelinerun", "taskrun", "build", "testsuiterun":
		return e.run(subject, predicate, at), nil
	case "testcaserun":
		return e.testCase(predicate, at), nil
	case "change":
		if predicate == "merged" && isRevision(e.Subject.ID) {
			return Intake{Changes: []event.Change{{
				Repository: cut(e.Subject.Content.Repository.ID, maxText),
				Revision:   e.Subject.ID,
				At:         at,
			}}}, nil
		}
	}
	return ignored("event %s.%s says nothing about a change on its way", cut(subject, 64), cut(predicate, 64)), nil
}

// service is a deployment. What was deployed is an artifact; a tag or version of
// its package URL is its version, a commit id its revision, else the digest
// stands for the version. Custom data may say version and revision outright.
func (e *cdEnvelope) service(predicate string, at time.Time) Intake {
	switch predicate {
	case "deployed", "upgraded", "rolledback":
	default:
		return ignored("service.%s deploys nothing", cut(predicate, 64))
	}
	var custom struct{ Version, Revision, Repository string }
	_ = json.Unmarshal(e.CustomData, &custom) // it is theirs: any shape is right
	version, revision := artifactOf(e.Subject.Content.ArtifactID)
	version, revision = firstText(custom.Version, version), firstText(custom.Revision, revision)
	if version == "" && revision == "" {
		return ignored("the service event names no artifact: set artifactId")
	}
	return Intake{Deployments: []event.Deployment{{
		Service:     cut(e.Subject.ID, maxText),
		Environment: cut(firstText(e.Subject.Content.Environment.ID, e.Subject.Content.Environment.Name, event.DefaultEnvironment), maxText),
		Version:     cut(version, maxText),
		Revision:    cut(revision, 64),
		// After rolledback, too, the service runs the artifact that is named: the
		// ledger sees by its history that it is an older one.
		Status:     event.DeploymentSucceeded,
		FinishedAt: at,
		Repository: cut(custom.Repository, maxText),
		Sources:    []event.Source{{Name: "cdevents", At: at}},
	}}}
}

// artifactOf reads a package URL: pkg:type/namespace/name@version?tag=…
func artifactOf(purl string) (version, revision string) {
	body, query, _ := strings.Cut(purl, "?")
	qualifiers, _ := url.ParseQuery(query)
	if tag := qualifiers.Get("tag"); tag != "" && tag != "latest" {
		return tag, ""
	}
	i := strings.LastIndexByte(body, '@')
	if i < 0 {
		return "", ""
	}
	version, err := url.PathUnescape(body[i+1:])
	if err != nil {
		return "", ""
	}
	if isRevision(version) {
		return "", version
	}
	return version, ""
}

func (e *cdEnvelope) run(subject, predicate string, at time.Time) Intake {
	content := e.Subject.Content
	run := event.PipelineRun{
		ID:       cut(e.Subject.ID, maxText),
		Pipeline: cut(firstText(content.PipelineName, content.TestSuite.Name, content.TestSuite.ID, subject), maxText),
		Attempt:  1,
		Stage:    stageOf(content.TaskName, content.PipelineName),
		URL:      firstText(webURL(content.URI), webURL(content.URL)),
		Source:   "cdevents",
	}
	switch subject {
	case "taskrun":
		run.TaskID, run.Task = run.ID, cut(firstText(content.TaskName, "task"), maxText)
		run.ID = cut(firstText(content.PipelineRun.ID, run.ID), maxText)
	case "build":
		run.Stage = event.StageBuild
	case "testsuiterun":
		run.Stage = event.StageTest
	}
	switch predicate {
	case "queued":
		run.State, run.QueuedAt = "pending", at
	case "started":
		run.State, run.StartedAt = "executing", at
	case "finished":
		run.State, run.FinishedAt, run.Result = "finished", at, cdOutcome(content.Outcome)
	default:
		return ignored("%s.%s changes nothing of a run", subject, cut(predicate, 64))
	}
	return Intake{Runs: []Run{{PipelineRun: run}}}
}

func (e *cdEnvelope) testCase(predicate string, at time.Time) Intake {
	content := e.Subject.Content
	result := event.TestResult{
		Suite:   cut(firstText(content.TestSuite.Name, content.TestSuiteRun.ID), maxText),
		Case:    cut(firstText(content.TestCase.Name, content.TestCase.ID, e.Subject.ID), maxText),
		Message: cut(content.Reason, maxMessage),
		At:      at,
	}
	switch predicate {
	case "skipped":
		result.Status = "skip"
	case "finished":
		switch cdOutcome(content.Outcome) {
		case "success":
			result.Status = "pass"
		case "failure":
			result.Status = "fail"
		case "cancellation":
			result.Status = "skip"
		default:
			result.Status = "error"
		}
	default:
		return ignored("testcaserun.%s has no outcome yet", cut(predicate, 64))
	}
	return Intake{Tests: []event.TestResult{result}}
}

// cdOutcome is the outcome in the words of semantic conventions; a build tells
// none, and finished.
func cdOutcome(outcome string) string {
	switch strings.ToLower(outcome) {
	case "", "success", "pass":
		return "success"
	case "failure", "fail":
		return "failure"
	case "cancel", "canceled", "cancelled":
		return "cancellation"
	default:
		return "error"
	}
}
