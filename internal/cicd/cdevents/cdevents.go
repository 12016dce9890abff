// Package cdevents reads CDEvents, alone or in CloudEvents.
package cdevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads an event of any version of https://cdevents.dev by its subject
// and predicate: the event alone, in a structured CloudEvent, or a batch of
// these.
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	body := bytes.TrimSpace(d.Body)
	events := []json.RawMessage{body}
	if len(body) > 0 && body[0] == '[' {
		if err := cicd.Unmarshal("cdevents batch", body, &events); err != nil {
			return cicd.Intake{}, err
		}
		if len(events) > cicd.MaxEntities {
			return cicd.Intake{}, errors.New("the cdevents batch holds more than 2000 events: send fewer at once")
		}
	}
	var in cicd.Intake
	for _, raw := range events {
		one, err := cdEvent(raw, d.ReceivedAt)
		if err != nil {
			return cicd.Intake{}, err
		}
		in.Changes = append(in.Changes, one.Changes...)
		in.Runs = append(in.Runs, one.Runs...)
		in.Deployments = append(in.Deployments, one.Deployments...)
		in.Tests = append(in.Tests, one.Tests...)
		in.Ignored = cicd.FirstText(in.Ignored, one.Ignored)
	}
	if len(in.Changes)+len(in.Runs)+len(in.Deployments)+len(in.Tests) > 0 {
		in.Ignored = ""
	} else {
		in.Ignored = cicd.FirstText(in.Ignored, "the batch is empty")
	}
	return in, nil
}

type cdThing struct{ ID, Name, Source string }

type cdEnvelope struct {
	Data    json.RawMessage // of a structured CloudEvent
	Base64  []byte          `json:"data_base64"` // the same, as senders write it that hold bytes
	Context struct {
		ID, Source, Type string
		Timestamp        cicd.Moment
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

func cdEvent(raw json.RawMessage, now time.Time) (cicd.Intake, error) {
	var e cdEnvelope
	if err := cicd.Unmarshal("cdevents", raw, &e); err != nil {
		return cicd.Intake{}, err
	}
	if e.Context.Type == "" && len(e.Data)+len(e.Base64) > 0 {
		data := []byte(e.Data)
		if len(e.Base64) > 0 {
			data = e.Base64
		}
		e = cdEnvelope{}
		if err := cicd.Unmarshal("cdevents", data, &e); err != nil {
			return cicd.Intake{}, err
		}
	}
	if e.Context.Type == "" {
		return cicd.Intake{}, errors.New("the cdevents payload has no context.type: is it a CDEvent?")
	}
	name, known := strings.CutPrefix(strings.ToLower(e.Context.Type), "dev.cdevents.")
	subject, rest, _ := strings.Cut(name, ".")
	predicate, _, _ := strings.Cut(rest, ".")
	if !known || e.Subject.ID == "" {
		return cicd.Ignored("event %s is none that says something about a change on its way", cicd.Cut(e.Context.Type, 128)), nil
	}
	at := cicd.FirstTime(e.Context.Timestamp.Time, now)
	switch subject {
	case "service":
		return e.service(predicate, at), nil
	case "pipelinerun", "taskrun", "build", "testsuiterun":
		return e.run(subject, predicate, at), nil
	case "testcaserun":
		return e.testCase(predicate, at), nil
	case "change":
		if predicate == "merged" && cicd.IsRevision(e.Subject.ID) {
			return cicd.Intake{Changes: []event.Change{{
				Repository: cicd.Cut(e.Subject.Content.Repository.ID, cicd.MaxText),
				Revision:   e.Subject.ID,
				At:         at,
			}}}, nil
		}
	}
	return cicd.Ignored("event %s.%s says nothing about a change on its way", cicd.Cut(subject, 64), cicd.Cut(predicate, 64)), nil
}

// service is a deployment. What was deployed is an artifact; a tag or version of
// its package URL is its version, a commit id its revision, else the digest
// stands for the version. Custom data may say version and revision outright.
func (e *cdEnvelope) service(predicate string, at time.Time) cicd.Intake {
	switch predicate {
	case "deployed", "upgraded", "rolledback":
	default:
		return cicd.Ignored("service.%s deploys nothing", cicd.Cut(predicate, 64))
	}
	var custom struct{ Version, Revision, Repository string }
	_ = json.Unmarshal(e.CustomData, &custom) // it is theirs: any shape is right
	version, revision := artifactOf(e.Subject.Content.ArtifactID)
	version, revision = cicd.FirstText(custom.Version, version), cicd.FirstText(custom.Revision, revision)
	if version == "" && revision == "" {
		return cicd.Ignored("the service event names no artifact: set artifactId")
	}
	return cicd.Intake{Deployments: []event.Deployment{{
		Service:     cicd.Cut(e.Subject.ID, cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(e.Subject.Content.Environment.ID, e.Subject.Content.Environment.Name, event.DefaultEnvironment), cicd.MaxText),
		Version:     cicd.Cut(version, cicd.MaxText),
		Revision:    cicd.Cut(revision, 64),
		// After rolledback, too, the service runs the artifact that is named: the
		// ledger sees by its history that it is an older one.
		Status:     event.DeploymentSucceeded,
		FinishedAt: at,
		Repository: cicd.Cut(custom.Repository, cicd.MaxText),
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
	if cicd.IsRevision(version) {
		return "", version
	}
	return version, ""
}

func (e *cdEnvelope) run(subject, predicate string, at time.Time) cicd.Intake {
	content := e.Subject.Content
	run := event.PipelineRun{
		ID:       cicd.Cut(e.Subject.ID, cicd.MaxText),
		Pipeline: cicd.Cut(cicd.FirstText(content.PipelineName, content.TestSuite.Name, content.TestSuite.ID, subject), cicd.MaxText),
		Attempt:  1,
		Stage:    cicd.StageOf(content.TaskName, content.PipelineName),
		URL:      cicd.FirstText(cicd.WebURL(content.URI), cicd.WebURL(content.URL)),
		Source:   "cdevents",
	}
	switch subject {
	case "taskrun":
		run.TaskID, run.Task = run.ID, cicd.Cut(cicd.FirstText(content.TaskName, "task"), cicd.MaxText)
		run.ID = cicd.Cut(cicd.FirstText(content.PipelineRun.ID, run.ID), cicd.MaxText)
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
		return cicd.Ignored("%s.%s changes nothing of a run", subject, cicd.Cut(predicate, 64))
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}
}

func (e *cdEnvelope) testCase(predicate string, at time.Time) cicd.Intake {
	content := e.Subject.Content
	result := event.TestResult{
		Suite:   cicd.Cut(cicd.FirstText(content.TestSuite.Name, content.TestSuiteRun.ID), cicd.MaxText),
		Case:    cicd.Cut(cicd.FirstText(content.TestCase.Name, content.TestCase.ID, e.Subject.ID), cicd.MaxText),
		Message: cicd.Cut(content.Reason, cicd.MaxMessage),
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
		return cicd.Ignored("testcaserun.%s has no outcome yet", cicd.Cut(predicate, 64))
	}
	return cicd.Intake{Tests: []event.TestResult{result}}
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
