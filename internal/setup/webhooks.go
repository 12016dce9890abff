package setup

import "strings"

// Sources of webhooks.
var Sources = []string{"github", "gitlab", "gitea", "jenkins", "argocd", "flux", "flagger", "spinnaker", "cdevents"}

// Webhook is what to enter where a source sends its webhooks from.
type Webhook struct {
	Source      string   `json:"source"`
	Title       string   `json:"title"`
	Where       string   `json:"where"` // to enter it
	URL         string   `json:"url"`
	ContentType string   `json:"content_type,omitempty"` // to choose; "": it is no setting there
	Secret      string   `json:"secret"`                 // the variable that holds it
	Field       string   `json:"secret_field"`           // what the source calls it, or how it is sent
	Events      []string `json:"events"`                 // to choose, as they are called there
	Snippet     string   `json:"snippet,omitempty"`      // to apply, where settings are files
}

// Webhooks are the settings of the sources that were answered.
func Webhooks(a Answers) []Webhook {
	var list []Webhook
	for _, source := range a.Webhooks {
		w := webhooks[source]
		w.Source, w.Secret = source, secretOf(source)
		path := "/webhooks/" + source
		if source == "cdevents" {
			path = "/cdevents"
		}
		w.URL = a.base() + path
		if w.Snippet != "" {
			w.Snippet = expand(w.Snippet, w)
		}
		list = append(list, w)
	}
	return list
}

// webhooks by source; their events are those that the receiver reads.
var webhooks = map[string]Webhook{
	"github": {
		Title: "GitHub", Where: "repository or organization > Settings > Webhooks > Add webhook", Field: "Secret", ContentType: "application/json",
		Events: []string{"Pushes", "Pull requests", "Deployments", "Deployment statuses", "Workflow runs", "Workflow jobs", "Check runs", "Releases", "Code scanning alerts"},
	},
	"gitlab": {
		Title: "GitLab", Where: "project or group > Settings > Webhooks > Add new webhook", Field: "Secret token",
		Events: []string{"Push events", "Merge request events", "Pipeline events", "Job events", "Deployment events"},
	},
	"gitea": {
		Title: "Gitea, Forgejo", Where: "repository or organization > Settings > Webhooks > Add webhook > Gitea (Forgejo: Forgejo)", Field: "Secret", ContentType: "application/json",
		Events: []string{"Push", "Pull request", "Release", "Workflow run", "Workflow job"},
	},
	"jenkins": {
		Title: "Jenkins", Where: "job > Configure > Job Notifications (Notification plugin) > Add endpoint: format JSON, protocol HTTP", Field: "appended to the URL as ?token=",
		Events: []string{"All events"},
	},
	"argocd": {
		Title: "Argo CD", Where: "config map argocd-notifications-cm, and deployloop-token in the secret argocd-notifications-secret", Field: "header Authorization: Bearer",
		Events: []string{"sync running", "sync succeeded", "sync failed"},
		Snippet: `kubectl -n argocd patch secret argocd-notifications-secret -p '{"stringData":{"deployloop-token":"'"$SECRET"'"}}'
# argocd-notifications-cm
service.webhook.deployloop: |
  url: URL
  headers: [{name: Content-Type, value: application/json}, {name: Authorization, value: Bearer $deployloop-token}]
template.deployloop: |
  webhook: {deployloop: {method: POST, body: "{{ toJson .app }}"}}
trigger.deployloop: |
  - {when: app.status.operationState.phase in ['Running', 'Succeeded', 'Failed', 'Error'], send: [deployloop]}
# then subscribe an application, or all by default: metadata.annotations
#   notifications.argoproj.io/subscribe.deployloop.deployloop: ""`,
	},
	"flux": {
		Title: "Flux", Where: "a Provider and an Alert in flux-system", Field: "token of the provider's secret",
		Events: []string{"Kustomizations and HelmReleases, severity info"},
		Snippet: `kubectl -n flux-system create secret generic deployloop --from-literal=token="$SECRET"
# kubectl apply -f -
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Provider
metadata: {name: deployloop, namespace: flux-system}
spec: {type: generic-hmac, address: "URL", secretRef: {name: deployloop}}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {name: deployloop, namespace: flux-system}
spec:
  providerRef: {name: deployloop}
  eventSeverity: info
  eventSources: [{kind: Kustomization, name: "*"}, {kind: HelmRelease, name: "*"}]`,
	},
	"flagger": {
		Title: "Flagger", Where: "each Canary: spec.analysis.webhooks", Field: "appended to the URL as ?token=",
		Events: []string{"event"},
		Snippet: `webhooks:
  - {name: deployloop, type: event, url: "URL?token=SECRET", metadata: {version: "1.2.3"}}`,
	},
	"spinnaker": {
		Title: "Spinnaker", Where: "Echo's echo-local.yml", Field: "header Authorization: Bearer",
		Events: []string{"orca:pipeline, orca:stage"},
		Snippet: `rest:
  enabled: true
  endpoints: [{wrap: false, url: "URL", headers: {Authorization: "Bearer SECRET"}}]`,
	},
	"cdevents": {
		Title: "CDEvents", Where: "the sink of whatever sends CDEvents over CloudEvents", Field: "header Authorization: Bearer, or ?token=",
		Events: []string{"service, pipelinerun, taskrun, build, testsuiterun, testcaserun"},
	},
}

// expand puts the URL and the name of the secret into a snippet.
func expand(snippet string, w Webhook) string {
	return strings.NewReplacer("$SECRET", "$"+w.Secret, "URL", w.URL, "SECRET", "$"+w.Secret).Replace(snippet)
}
