package forge

import (
	"github.com/deployloop/deployloop/internal/event"
)

// Flagger reads what an event webhook of a Canary sends. Flagger says a checksum
// of the pods' spec, but no version: the webhook's metadata must say version or
// revision, and may say service and environment.
// https://docs.flagger.app/usage/webhooks#event-webhook
func Flagger(d Delivery) (Intake, error) {
	var hook struct {
		Name, Namespace, Phase, Checksum string
		Metadata                         map[string]string
	}
	if err := unmarshal("flagger", d.Body, &hook); err != nil {
		return Intake{}, err
	}
	m := hook.Metadata
	if hook.Name == "" || m["version"] == "" && m["revision"] == "" {
		return ignored("the canary event says no version: set version or revision in the webhook's metadata"), nil
	}
	at := moment{}
	_ = at.UnmarshalJSON([]byte(m["timestamp"])) // gives no error; Unix milliseconds as text
	when := firstTime(at.Time, d.ReceivedAt)
	deployment := event.Deployment{
		Service:     cut(firstText(m["service"], hook.Name), maxText),
		Environment: cut(firstText(m["environment"], hook.Namespace, event.DefaultEnvironment), maxText),
		Version:     cut(m["version"], maxText),
		Revision:    cut(m["revision"], 64),
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
		return ignored("phase %s changes nothing that is watched", cut(hook.Phase, 32)), nil
	}
	deployment.Sources = []event.Source{{Name: event.SourceFlagger, At: when, Object: cut(hook.Namespace+"/"+hook.Name, maxText)}}
	return Intake{Deployments: []event.Deployment{deployment}}, nil
}
