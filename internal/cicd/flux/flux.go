// Package flux reads the webhooks of the notification controller of Flux.
package flux

import (
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads an event of Flux's notification controller (provider type generic
// or generic-hmac). The Alert's eventMetadata may say service, environment (or
// env), version and revision.
// https://fluxcd.io/flux/components/notification/providers/#generic-webhook
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	var hook struct {
		InvolvedObject struct{ Kind, Namespace, Name, UID string }
		Severity       string
		Timestamp      cicd.Moment
		Message        string
		Reason         string
		Metadata       map[string]string
	}
	if err := cicd.Unmarshal("flux", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	object, metadata := hook.InvolvedObject, hook.Metadata
	if object.Kind != "Kustomization" && object.Kind != "HelmRelease" || object.Name == "" {
		return cicd.Ignored("an event of a %s deploys nothing", cicd.Cut(cicd.FirstText(object.Kind, "nameless object"), 64)), nil
	}
	namespace := object.Namespace
	if namespace == "flux-system" {
		namespace = "" // where Flux lives, not what it deploys to
	}
	deployment := event.Deployment{
		Service:     cicd.Cut(cicd.FirstText(metadata["service"], object.Name), cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(metadata["environment"], metadata["env"], namespace, event.DefaultEnvironment), cicd.MaxText),
		Version:     cicd.Cut(cicd.FirstText(metadata["version"], metadata["app-version"]), cicd.MaxText),
		Revision:    cicd.Cut(metadata["commit"], 64),
	}
	source := metadata["revision"]
	for key, value := range metadata { // kustomize.toolkit.fluxcd.io/revision in versions before the notification controller cut it
		if strings.HasSuffix(key, ".toolkit.fluxcd.io/revision") {
			source = cicd.FirstText(source, value)
		}
	}
	if deployment.Version == "" && deployment.Revision == "" {
		if _, digest, found := strings.Cut(source, "@sha1:"); found { // main@sha1:…
			deployment.Revision = cicd.Cut(digest, 64)
		} else {
			deployment.Version = cicd.Cut(source, cicd.MaxText)
		}
	}
	if deployment.Version == "" && deployment.Revision == "" {
		return cicd.Ignored("the event of %s %s names no revision", object.Kind, cicd.Cut(object.Name, 128)), nil
	}
	at := cicd.FirstTime(hook.Timestamp.Time, d.ReceivedAt)
	switch {
	case strings.HasSuffix(hook.Reason, "Succeeded") && hook.Reason != "TestSucceeded" && hook.Reason != "UninstallSucceeded":
		deployment.Status, deployment.FinishedAt = event.DeploymentSucceeded, at
	case strings.HasSuffix(hook.Reason, "Failed") && hook.Severity == "error":
		deployment.Status, deployment.FinishedAt = event.DeploymentFailed, at
	case hook.Reason == "Progressing":
		deployment.Status, deployment.StartedAt = event.DeploymentStarted, at
	default:
		return cicd.Ignored("reason %s changes nothing that is watched", cicd.Cut(hook.Reason, 64)), nil
	}
	// Flux tells of each reconciliation, every few minutes. What it reconciles to
	// is the id, so that only another revision, or release, is another deployment.
	id := "flux:" + cicd.Cut(cicd.FirstText(object.UID, object.Namespace+"/"+object.Name), 128) + "@" + cicd.Cut(source, 128)
	if release := helmRelease.FindString(hook.Message); release != "" {
		id += "." + release
	}
	release := cicd.Cut(source, 256)
	if object.Kind == "HelmRelease" {
		release = cicd.Cut(strings.TrimPrefix(helmReleaseName.FindString(hook.Message), "release "), 256)
	}
	deployment.Aliases = []string{id}
	deployment.Sources = []event.Source{{
		Name: event.SourceFlux, ID: id, At: at, Object: cicd.Cut(object.Kind+"/"+object.Namespace+"/"+object.Name, cicd.MaxText), Release: release,
	}}
	return cicd.Intake{Deployments: []event.Deployment{deployment}}, nil
}

// helmRelease finds the number of a release in "Helm upgrade succeeded for
// release shop/checkout.v3 with chart checkout@1.2.3": a rollback to an older
// chart is a new one.
var (
	helmRelease     = regexp.MustCompile(`\bv[0-9]{1,9}\b`)
	helmReleaseName = regexp.MustCompile(`\brelease [^\s/]+/[^\s/]+\.v[0-9]{1,9}\b`)
)
