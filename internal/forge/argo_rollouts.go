package forge

import (
	"github.com/deployloop/deployloop/internal/event"
)

// argoRollout reads a Rollout as a notification template of Argo Rollouts sends
// it: {{ toJson .rollout }}, alone or under "rollout".
// https://argo-rollouts.readthedocs.io/en/stable/features/notifications/
func argoRollout(d Delivery) (Intake, error) {
	type rollout struct {
		Metadata struct {
			Name, Namespace, UID string
			Labels, Annotations  map[string]string
		}
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
		Status struct {
			Phase, CurrentPodHash, StableRS string
			Abort                           bool
		}
	}
	var hook struct {
		rollout
		Rollout *rollout
	}
	if err := unmarshal("argo rollouts", d.Body, &hook); err != nil {
		return Intake{}, err
	}
	r := hook.rollout
	if hook.Rollout != nil {
		r = *hook.Rollout
	}
	if r.Metadata.Name == "" {
		return ignored("the notification names no rollout: let its template send {{ toJson .rollout }}"), nil
	}
	var images []string
	for _, c := range r.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	labels, annotations := r.Metadata.Labels, r.Metadata.Annotations
	deployment := event.Deployment{
		Service:     cut(firstText(annotations[labelService], labels[labelService], r.Metadata.Name), maxText),
		Environment: cut(firstText(annotations[labelEnvironment], labels[labelEnvironment], labels["environment"], labels["env"], r.Metadata.Namespace, event.DefaultEnvironment), maxText),
		Version:     commonTag(images),
	}
	if deployment.Version == "" {
		return ignored("rollout %s has no image tag that all its containers share", cut(r.Metadata.Name, 128)), nil
	}
	at := d.ReceivedAt
	switch {
	case r.Status.Abort: // its traffic is back at the stable version
		deployment.Status, deployment.FinishedAt = event.DeploymentRolledBack, at
	case r.Status.Phase == "Progressing", r.Status.Phase == "Paused":
		deployment.Status, deployment.StartedAt = event.DeploymentStarted, at
	case r.Status.Phase == "Healthy":
		deployment.Status, deployment.FinishedAt = event.DeploymentSucceeded, at
	case r.Status.Phase == "Degraded":
		deployment.Status, deployment.FinishedAt = event.DeploymentFailed, at
	default:
		return ignored("phase %s changes nothing that is watched", cut(r.Status.Phase, 32)), nil
	}
	release := cut(annotations["rollout.argoproj.io/revision"], 64)
	id := "argo_rollouts:" + cut(firstText(r.Metadata.UID, r.Metadata.Namespace+"/"+r.Metadata.Name), 256) + "@" + cut(firstText(release, r.Status.CurrentPodHash, deployment.Version), 128)
	deployment.Aliases = []string{id}
	deployment.Sources = []event.Source{{
		Name: event.SourceArgoRollouts, ID: id, At: at,
		Object: cut(r.Metadata.Namespace+"/"+r.Metadata.Name, maxText), Release: release,
	}}
	return Intake{Deployments: []event.Deployment{deployment}}, nil
}
