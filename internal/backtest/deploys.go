package backtest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Deploy is one line of a file of deployments.
type Deploy struct {
	ID               string    `json:"id"`
	Service          string    `json:"service"`
	Environment      string    `json:"environment"`
	Revision         string    `json:"revision"`
	PreviousRevision string    `json:"previous_revision"`
	Version          string    `json:"version"`
	PreviousVersion  string    `json:"previous_version"`
	StartedAt        time.Time `json:"started_at"`
	FinishedAt       time.Time `json:"finished_at"`
	Instances        []string  `json:"instances"`
}

// SourceDeploys names the file in a deployment's provenance.
const SourceDeploys = "deploys file"

// ReadDeploys reads one JSON object a line, and gives them by start.
func ReadDeploys(r io.Reader) ([]Deploy, error) {
	var out []Deploy
	buffered := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := readLine(buffered)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var d Deploy
			if err := json.Unmarshal(line, &d); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			switch {
			case d.Service == "":
				return nil, fmt.Errorf("line %d: service is missing", number)
			case d.Revision == "" && d.Version == "":
				return nil, fmt.Errorf("line %d: name a revision or a version", number)
			case d.StartedAt.IsZero():
				return nil, fmt.Errorf("line %d: started_at is missing (RFC 3339)", number)
			case !d.FinishedAt.IsZero() && d.FinishedAt.Before(d.StartedAt):
				return nil, fmt.Errorf("line %d: finished_at, %s, is before started_at, %s", number, d.FinishedAt.Format(time.RFC3339), d.StartedAt.Format(time.RFC3339))
			}
			out = append(out, d)
		}
		if err != nil {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b Deploy) int { return a.StartedAt.Compare(b.StartedAt) })
	return out, nil
}

// deployment is d as it is known when it starts, or when it has finished.
func (d Deploy) deployment(finished bool) event.Deployment {
	out := event.Deployment{
		ID: d.ID, Service: d.Service, Environment: d.Environment, Revision: d.Revision, PreviousRevision: d.PreviousRevision,
		Version: d.Version, PreviousVersion: d.PreviousVersion, StartedAt: d.StartedAt.UTC(), Instances: d.Instances,
		Status: event.DeploymentStarted, Sources: []event.Source{{Name: SourceDeploys, ID: d.ID, At: d.StartedAt.UTC()}},
	}
	if finished {
		out.FinishedAt, out.Status = d.FinishedAt.UTC(), event.DeploymentSucceeded
	}
	return out
}

// sortNotices puts what is told in order of time, as given within a second.
func sortNotices(list []notice) {
	slices.SortStableFunc(list, func(a, b notice) int { return cmp.Compare(a.second, b.second) })
}
