package forge

import (
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// ArgoCD reads an Argo CD Application as a notification template sends it:
// {{ toJson .app }}, alone or under "app"; and, since Argo Rollouts has the same
// notifications, its Rollout.
// https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/
func ArgoCD(d Delivery) (Intake, error) {
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
				StartedAt, FinishedAt moment
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
	if err := unmarshal("argocd", d.Body, &hook); err != nil {
		return Intake{}, err
	}
	if hook.Kind == "Rollout" || hook.Rollout != nil {
		return argoRollout(d)
	}
	app := hook.application
	if hook.App != nil {
		app = *hook.App
	}
	if app.Metadata.Name == "" {
		return ignored("the notification names no application: let its template send {{ toJson .app }}"), nil
	}
	operation := app.Status.OperationState
	deployment := event.Deployment{
		Service:     cut(firstText(app.Metadata.Annotations[labelService], app.Metadata.Labels[labelService], app.Metadata.Name), maxText),
		Environment: cut(firstText(app.Metadata.Annotations[labelEnvironment], app.Metadata.Labels[labelEnvironment], app.Metadata.Labels["environment"], app.Metadata.Labels["env"], app.Spec.Destination.Namespace, event.DefaultEnvironment), maxText),
		Version:     commonTag(app.Status.Summary.Images),
		StartedAt:   operation.StartedAt.Time,
	}
	revision := firstText(operation.SyncResult.Revision, app.Status.Sync.Revision)
	// The synced revision is of the repository of manifests, which telemetry knows
	// nothing of; so it names the deployment only when no image does.
	if deployment.Version == "" {
		deployment.Revision, deployment.Repository = cut(revision, 64), cut(app.Spec.Source.RepoURL, maxText)
	}
	if deployment.Version == "" && deployment.Revision == "" {
		return ignored("application %s has neither an image tag nor a synced revision", cut(app.Metadata.Name, 128)), nil
	}
	switch operation.Phase {
	case "Running":
		deployment.Status = event.DeploymentStarted
	case "Succeeded":
		deployment.Status = event.DeploymentSucceeded
	case "Failed", "Error":
		deployment.Status = event.DeploymentFailed
	default:
		return ignored("operation phase %s changes nothing that is watched", cut(operation.Phase, 32)), nil
	}
	if deployment.Status != event.DeploymentStarted {
		deployment.FinishedAt = firstTime(operation.FinishedAt.Time, d.ReceivedAt)
	}
	at := firstTime(deployment.FinishedAt, deployment.StartedAt, d.ReceivedAt)
	id := ""
	if !operation.StartedAt.IsZero() { // one sync operation
		id = "argocd:" + cut(firstText(app.Metadata.UID, app.Metadata.Namespace+"/"+app.Metadata.Name), 256) + "@" + operation.StartedAt.Format(time.RFC3339)
		deployment.Aliases = []string{id}
	}
	if len(app.Status.Summary.ExternalURLs) > 0 {
		deployment.URL = webURL(app.Status.Summary.ExternalURLs[0])
	}
	source := event.Source{Name: event.SourceArgoCD, ID: id, At: at, Object: cut(app.Metadata.Namespace+"/"+app.Metadata.Name, maxText)}
	source.Release, source.Previous = historyOf(app.Status.History, operation.StartedAt.Time)
	deployment.Sources = []event.Source{source}
	return Intake{Deployments: []event.Deployment{deployment}}, nil
}

// argoSync is one entry of an application's history.
type argoSync struct {
	ID         int64
	DeployedAt moment
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

// commonTag is the tag that all tagged images share; sidecars with another make
// it unknown.
func commonTag(images []string) string {
	tag := ""
	for _, image := range images {
		switch t := imageTag(image); {
		case t == "" || t == tag:
		case tag == "":
			tag = t
		default:
			return ""
		}
	}
	return tag
}
