// Package argocd reads the webhooks of the notification controllers of Argo CD and Argo Rollouts.
package argocd

import (
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads an Argo CD Application as a notification template sends it:
// {{ toJson .app }}, alone or under "app"; and, since Argo Rollouts has the same
// notifications, its Rollout.
// https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	type application struct {
		Metadata struct {
			Name, Namespace, UID string
			Labels, Annotations  map[string]string
		}
		Spec struct {
			Source      struct{ RepoURL string }
			Destination struct{ Namespace string }
		}
		Status struct {
			OperationState struct {
				Phase                 string
				StartedAt, FinishedAt cicd.Moment
				SyncResult            struct{ Revision string }
			}
			Sync    struct{ Revision string }
			History []argoSync // oldest first; a sync is added once it succeeded
			Summary struct {
				Images       []string
				ExternalURLs []string
			}
		}
	}
	var hook struct {
		application
		App     *application
		Kind    string
		Rollout *struct{}
	}
	if err := cicd.Unmarshal("argocd", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	if hook.Kind == "Rollout" || hook.Rollout != nil {
		return argoRollout(d)
	}
	app := hook.application
	if hook.App != nil {
		app = *hook.App
	}
	if app.Metadata.Name == "" {
		return cicd.Ignored("the notification names no application: let its template send {{ toJson .app }}"), nil
	}
	operation := app.Status.OperationState
	deployment := event.Deployment{
		Service:     cicd.Cut(cicd.FirstText(app.Metadata.Annotations[labelService], app.Metadata.Labels[labelService], app.Metadata.Name), cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(app.Metadata.Annotations[labelEnvironment], app.Metadata.Labels[labelEnvironment], app.Metadata.Labels["environment"], app.Metadata.Labels["env"], app.Spec.Destination.Namespace, event.DefaultEnvironment), cicd.MaxText),
		Version:     cicd.CommonTag(app.Status.Summary.Images),
		StartedAt:   operation.StartedAt.Time,
	}
	revision := cicd.FirstText(operation.SyncResult.Revision, app.Status.Sync.Revision)
	// The synced revision is of the repository of manifests, which telemetry knows
	// nothing of; so it names the deployment only when no image does.
	if deployment.Version == "" {
		deployment.Revision, deployment.Repository = cicd.Cut(revision, 64), cicd.Cut(app.Spec.Source.RepoURL, cicd.MaxText)
	}
	if deployment.Version == "" && deployment.Revision == "" {
		return cicd.Ignored("application %s has neither an image tag nor a synced revision", cicd.Cut(app.Metadata.Name, 128)), nil
	}
	switch operation.Phase {
	case "Running":
		deployment.Status = event.DeploymentStarted
	case "Succeeded":
		deployment.Status = event.DeploymentSucceeded
	case "Failed", "Error":
		deployment.Status = event.DeploymentFailed
	default:
		return cicd.Ignored("operation phase %s changes nothing that is watched", cicd.Cut(operation.Phase, 32)), nil
	}
	if deployment.Status != event.DeploymentStarted {
		deployment.FinishedAt = cicd.FirstTime(operation.FinishedAt.Time, d.ReceivedAt)
	}
	at := cicd.FirstTime(deployment.FinishedAt, deployment.StartedAt, d.ReceivedAt)
	id := ""
	if !operation.StartedAt.IsZero() { // one sync operation
		id = "argocd:" + cicd.Cut(cicd.FirstText(app.Metadata.UID, app.Metadata.Namespace+"/"+app.Metadata.Name), 256) + "@" + operation.StartedAt.Format(time.RFC3339)
		deployment.Aliases = []string{id}
	}
	if len(app.Status.Summary.ExternalURLs) > 0 {
		deployment.URL = cicd.WebURL(app.Status.Summary.ExternalURLs[0])
	}
	source := event.Source{Name: event.SourceArgoCD, ID: id, At: at, Object: cicd.Cut(app.Metadata.Namespace+"/"+app.Metadata.Name, cicd.MaxText)}
	source.Release, source.Previous = historyOf(app.Status.History, operation.StartedAt.Time)
	deployment.Sources = []event.Source{source}
	return cicd.Intake{Deployments: []event.Deployment{deployment}}, nil
}

// argoSync is one entry of an application's history.
type argoSync struct {
	ID         int64
	DeployedAt cicd.Moment
}

// historyOf finds the ids of what the operation that began at began deployed (""
// until it succeeded) and of what was there before.
func historyOf(history []argoSync, began time.Time) (release, previous string) {
	for _, h := range history {
		if id := strconv.FormatInt(h.ID, 10); !began.IsZero() && !h.DeployedAt.Before(began) {
			release = id
		} else {
			previous = id
		}
	}
	return release, previous
}

// Labels or annotations by which a Kubernetes object says what deployloop calls it.
const (
	labelService     = "deployloop.io/service"
	labelEnvironment = "deployloop.io/environment"
)
