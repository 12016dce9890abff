// Package flagger reads the webhooks of the Canaries of Flagger.
package flagger

import (
	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads what an event webhook of a Canary sends. Flagger says a checksum
// of the pods' spec, but no version: the webhook's metadata must say version or
// revision, and may say service and environment.
// https://docs.flagger.app/usage/webhooks#event-webhook
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	var hook struct {
		Name, Namespace, Phase, Checksum string
		Metadata                         map[string]string
	}
	if err := cicd.Unmarshal("flagger", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	m := hook.Metadata
	if hook.Name == "" || m["version"] == "" && m["revision"] == "" {
		return cicd.Ignored("the canary event says no version: set version or revision in the webhook's metadata"), nil
	}
	at := cicd.Moment{}
	_ = at.UnmarshalJSON([]byte(m["timestamp"])) // gives no error; Unix milliseconds as text
	when := cicd.FirstTime(at.Time, d.ReceivedAt)
	deployment := event.Deployment{
		Service:     cicd.Cut(cicd.FirstText(m["service"], hook.Name), cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(m["environment"], hook.Namespace, event.DefaultEnvironment), cicd.MaxText),
		Version:     cicd.Cut(m["version"], cicd.MaxText),
		Revision:    cicd.Cut(m["revision"], 64),
	}
	switch hook.Phase {
	case "Progressing", "WaitingPromotion", "Promoting", "Finalising":
		deployment.Status = event.DeploymentStarted
		deployment.StartedAt = when
	case "Succeeded":
		deployment.Status, deployment.FinishedAt = event.DeploymentSucceeded, when
	case "Failed": // Flagger has sent the traffic back to the primary
		deployment.Status, deployment.FinishedAt = event.DeploymentRolledBack, when
	default: // Initializing, Initialized, Waiting, Terminating, Terminated
		return cicd.Ignored("phase %s changes nothing that is watched", cicd.Cut(hook.Phase, 32)), nil
	}
	deployment.Sources = []event.Source{{Name: event.SourceFlagger, At: when, Object: cicd.Cut(hook.Namespace+"/"+hook.Name, cicd.MaxText)}}
	return cicd.Intake{Deployments: []event.Deployment{deployment}}, nil
}
