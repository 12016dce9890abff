package cicd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// DeploymentRequest is the body of POST /v1/deployments: what deployloop mark
// sends and what any script can.
type DeploymentRequest struct {
	Service          string    `json:"service"`
	Environment      string    `json:"environment,omitempty"`
	Revision         string    `json:"revision,omitempty"`
	PreviousRevision string    `json:"previous_revision,omitempty"`
	Version          string    `json:"version,omitempty"`
	PreviousVersion  string    `json:"previous_version,omitempty"`
	Status           string    `json:"status,omitempty"`
	StartedAt        time.Time `json:"started_at,omitzero"`
	FinishedAt       time.Time `json:"finished_at,omitzero"`
	ID               string    `json:"id,omitempty"`
	URL              string    `json:"url,omitempty"`
	Repository       string    `json:"repository,omitempty"`
	RollbackCommand  string    `json:"rollback_command,omitempty"`

	// Tool deployed it; with its own names of things, its rollback is known too.
	Tool            string `json:"tool,omitempty"`             // one of Tools
	Object          string `json:"object,omitempty"`           // namespace/name, or name
	Release         string `json:"release,omitempty"`          // the tool's number of what runs now
	PreviousRelease string `json:"previous_release,omitempty"` // the same of what ran before
}

// Tools are the values of DeploymentRequest.Tool.
var Tools = []string{event.SourceArgoCD, event.SourceArgoRollouts, event.SourceFlagger, event.SourceHelm, event.SourceKubectl}

const deploymentKeys = "service, environment, revision, previous_revision, version, previous_version, status, started_at, finished_at, id, url, repository, rollback_command, tool, object, release, previous_release"

// ParseDeploymentRequest reads and checks the body of POST /v1/deployments. Its
// errors are one line each and name the fix.
func ParseDeploymentRequest(body []byte) (DeploymentRequest, error) {
	var request DeploymentRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
			return DeploymentRequest{}, fmt.Errorf("unknown key %s; the keys are %s", Cut(name, 64), deploymentKeys)
		}
		if errors.Is(err, io.EOF) {
			return DeploymentRequest{}, errors.New(`empty body; send JSON like {"service":"checkout","version":"1.42.0","environment":"production"}`)
		}
		return DeploymentRequest{}, fmt.Errorf("bad JSON: %s", Cut(err.Error(), 256))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return DeploymentRequest{}, errors.New("bad JSON: something follows the object; send one deployment per request")
	}
	return request, request.Validate()
}

// Validate checks what a request says; the error names the key and the fix.
func (r DeploymentRequest) Validate() error {
	switch {
	case strings.TrimSpace(r.Service) == "":
		return errors.New("service is missing: name the deployed service as its telemetry does in service.name")
	case r.Revision == "" && r.Version == "":
		return errors.New("revision or version is missing: give the deployed commit id, or the version as telemetry tells it in service.version")
	case r.Tool != "" && !slices.Contains(Tools, r.Tool):
		return fmt.Errorf("tool %q is none of %s: leave it out, and give a rollback_command", Cut(r.Tool, 64), strings.Join(Tools, ", "))
	case r.Tool == "" && (r.Object != "" || r.Release != "" || r.PreviousRelease != ""):
		return errors.New("object, release and previous_release are names of a tool: say which one in tool")
	case r.URL != "" && WebURL(r.URL) == "":
		return errors.New("url must begin with http:// or https://")
	case !r.FinishedAt.IsZero() && !r.StartedAt.IsZero() && r.FinishedAt.Before(r.StartedAt):
		return errors.New("finished_at is before started_at")
	}
	switch event.DeploymentStatus(r.Status) {
	case "", event.DeploymentStarted, event.DeploymentSucceeded, event.DeploymentFailed, event.DeploymentRolledBack:
	default:
		return fmt.Errorf("status %q is none of started, succeeded, failed, rolled_back", Cut(r.Status, 64))
	}
	for _, field := range []struct {
		name, value string
		limit       int
	}{
		{"service", r.Service, 256}, {"environment", r.Environment, 256}, {"id", r.ID, 256},
		{"revision", r.Revision, 256}, {"previous_revision", r.PreviousRevision, 256},
		{"version", r.Version, 256}, {"previous_version", r.PreviousVersion, 256},
		{"repository", r.Repository, 2048}, {"url", r.URL, 2048}, {"rollback_command", r.RollbackCommand, MaxText},
		{"object", r.Object, 256}, {"release", r.Release, 256}, {"previous_release", r.PreviousRelease, 256},
	} {
		if len(field.value) > field.limit {
			return fmt.Errorf("%s is longer than %d bytes", field.name, field.limit)
		}
	}
	return nil
}

// Deployment is what the request says, as an event; now stands in for a missing
// start. id is an alias under which the deployment can be found. Only an id that
// the caller chose is told as the source's: two different ones mean two
// deployments, and two requests without one may well mean the same.
func (r DeploymentRequest) Deployment(id string, now time.Time) event.Deployment {
	d := event.Deployment{
		Aliases:          []string{id},
		Service:          r.Service,
		Environment:      FirstText(r.Environment, event.DefaultEnvironment),
		Revision:         r.Revision,
		PreviousRevision: r.PreviousRevision,
		Version:          r.Version,
		PreviousVersion:  r.PreviousVersion,
		Status:           event.DeploymentStatus(FirstText(r.Status, string(event.DeploymentStarted))),
		StartedAt:        r.StartedAt.UTC(),
		FinishedAt:       r.FinishedAt.UTC(),
		URL:              r.URL,
		Repository:       r.Repository,
		RollbackCommand:  r.RollbackCommand,
		Sources:          []event.Source{{Name: FirstText(r.Tool, "api"), ID: r.ID, At: now, Object: r.Object, Release: r.Release, Previous: r.PreviousRelease}},
	}
	if r.Status == "" && !r.FinishedAt.IsZero() {
		d.Status = event.DeploymentSucceeded
	}
	if d.FinishedAt.IsZero() && d.Status != event.DeploymentStarted {
		d.FinishedAt = now
	}
	if d.StartedAt.IsZero() {
		d.StartedAt = now
		if !d.FinishedAt.IsZero() && d.FinishedAt.Before(now) {
			d.StartedAt = d.FinishedAt
		}
	}
	return d
}
