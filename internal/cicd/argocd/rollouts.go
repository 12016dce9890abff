package argocd

import (
	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// argoRollout reads a Rollout as a notification template of Argo Rollouts sends
// it: {{ toJson .rollout }}, alone or under "rollout".
// https://argo-rollouts.readthedocs.io/en/stable/features/notifications/
func argoRollout(d cicd.Delivery) (cicd.Intake, error) {
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
	if err := cicd.Unmarshal("argo rollouts", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	r := hook.rollout
	if hook.Rollout != nil {
		r = *hook.Rollout
	}
	if r.Metadata.Name == "" {
		return cicd.Ignored("the notification names no rollout: let its template send {{ toJson .rollout }}"), nil
	}
	var images []string
	for _, c := range r.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	labels, annotations := r.Metadata.Labels, r.Metadata.Annotations
	deployment := event.Deployment{
		Service:     cicd.Cut(cicd.FirstText(annotations[labelService], labels[labelService], r.Metadata.Name), cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(annotations[labelEnvironment], labels[labelEnvironment], labels["environment"], labels["env"], r.Metadata.Namespace, event.DefaultEnvironment), cicd.MaxText),
		Version:     cicd.CommonTag(images),
	}
	if deployment.Version == "" {
		return cicd.Ignored("rollout %s has no image tag that all its containers share", cicd.Cut(r.Metadata.Name, 128)), nil
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
		return cicd.Ignored("phase %s changes nothing that is watched", cicd.Cut(r.Status.Phase, 32)), nil
	}
	release := cicd.Cut(annotations["rollout.argoproj.io/revision"], 64)
	id := "argo_rollouts:" + cicd.Cut(cicd.FirstText(r.Metadata.UID, r.Metadata.Namespace+"/"+r.Metadata.Name), 256) + "@" + cicd.Cut(cicd.FirstText(release, r.Status.CurrentPodHash, deployment.Version), 128)
	deployment.Aliases = []string{id}
	deployment.Sources = []event.Source{{
		Name: event.SourceArgoRollouts, ID: id, At: at,
		Object: cicd.Cut(r.Metadata.Namespace+"/"+r.Metadata.Name, cicd.MaxText), Release: release,
	}}
	return cicd.Intake{Deployments: []event.Deployment{deployment}}, nil
}
