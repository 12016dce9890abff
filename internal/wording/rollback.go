package wording

import (
	"net/url"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// rollbacks are the deploy sources that can undo a rollout, the one that has the
// last word first: what a GitOps controller keeps in step is put back by it when
// something beneath it is undone, and a pipeline is further away than the tool
// it calls.
var rollbacks = []struct {
	source  string
	command func(event.Source, event.Deployment) string // "" when too little is known
}{
	{event.SourceArgoCD, undoArgoCD},
	{event.SourceFlux, undoFlux},
	{event.SourceArgoRollouts, undoArgoRollouts},
	{event.SourceFlagger, undoFlagger},
	{event.SourceHelm, undoHelm},
	{event.SourceKubectl, undoKubectl},
	{event.SourceSpinnaker, undoSpinnaker},
	{event.SourceGitLab, undoGitLab},
	{event.SourceGitHub, undoGitHub},
}

// undoArgoCD goes back in the application's history, which `argocd app rollback`
// refuses while auto-sync is on. The revisions of deployments do not help: they
// are of the service's repository, Argo CD's are of the manifests'.
func undoArgoCD(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(s.Object)
	if !ok || isOption(s.Previous) {
		return ""
	}
	app := shellQuote(name)
	if namespace != "" && namespace != "argocd" {
		app = shellQuote(namespace + "/" + name)
	}
	if s.Previous == "" {
		return "argocd app history " + app + "   # then: argocd app rollback " + app + " ID, of " + previousQuoted(d)
	}
	return "argocd app set " + app + " --sync-policy none && argocd app rollback " + app + " " + shellQuote(s.Previous) + backTo(d, "auto-sync is off then")
}

func undoArgoRollouts(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(s.Object)
	if !ok {
		return ""
	}
	command := "kubectl argo rollouts undo " + shellQuote(name) + inNamespace(namespace)
	if s.Previous != "" {
		command += " --to-revision=" + shellQuote(s.Previous)
	}
	return command + backTo(d)
}

// undoFlux rolls a Helm release back beside its suspended HelmRelease, or pins
// the source of a Kustomization to the commit that was applied before.
func undoFlux(s event.Source, d event.Deployment) string {
	kind, object, _ := strings.Cut(s.Object, "/")
	namespace, name, ok := objectParts(object)
	if !ok {
		return ""
	}
	switch kind {
	case "HelmRelease":
		// "shop/checkout.v3", as the event calls the release.
		releaseNamespace, release, previous := namespace, name, ""
		for _, told := range []string{s.Release, s.Previous} {
			if ns, rest, found := strings.Cut(told, "/"); found {
				if at := strings.LastIndex(rest, ".v"); at > 0 {
					releaseNamespace, release = ns, rest[:at]
					if told == s.Previous {
						previous = " " + rest[at+2:]
					}
				}
			}
		}
		if isOption(release) || isOption(strings.TrimSpace(previous)) {
			return ""
		}
		return "flux suspend helmrelease " + shellQuote(name) + inNamespace(namespace) +
			" && helm rollback " + shellQuote(release) + quoted(previous) + inNamespace(releaseNamespace) + backTo(d, "flux resume helmrelease undoes it")
	case "Kustomization":
		_, commit, found := strings.Cut(s.Previous, "@sha1:")
		if !found || !isHex(commit) {
			return ""
		}
		n := inNamespace(namespace)
		// The source's name is only in the cluster.
		return "kubectl" + n + ` patch gitrepository "$(kubectl` + n + " get kustomization " + shellQuote(name) + ` -o jsonpath='{.spec.sourceRef.name}')"` +
			` --type merge -p '{"spec":{"ref":{"commit":"` + commit + `"}}}' && flux reconcile kustomization ` + shellQuote(name) + n + " --with-source" + backTo(d)
	}
	return ""
}

// undoFlagger undoes the Deployment that the Canary, by custom of the same name,
// stands for; Flagger then promotes what was there before.
func undoFlagger(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(s.Object)
	if !ok {
		return ""
	}
	return "kubectl rollout undo deployment/" + shellQuote(name) + inNamespace(namespace) + backTo(d, "Flagger analyses and promotes it")
}

func undoHelm(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(orService(s.Object, d))
	if !ok || isOption(s.Previous) {
		return ""
	}
	return "helm rollback " + shellQuote(name) + quoted(s.Previous) + inNamespace(namespace) + " --wait" + backTo(d)
}

func undoKubectl(s event.Source, d event.Deployment) string {
	parts := strings.Split(orService(s.Object, d), "/")
	kind, namespace, name := "deployment", "", parts[len(parts)-1]
	switch len(parts) {
	case 3:
		namespace, kind = parts[0], parts[1]
	case 2:
		namespace = parts[0]
	}
	if name == "" || len(parts) > 3 || isOption(name) || isOption(namespace) || isOption(kind) {
		return ""
	}
	command := "kubectl rollout undo " + shellQuote(kind+"/"+name) + inNamespace(namespace)
	if s.Previous != "" {
		command += " --to-revision=" + shellQuote(s.Previous)
	}
	return command + backTo(d)
}

// undoSpinnaker starts the pipeline with the parameter of the last good run.
func undoSpinnaker(s event.Source, d event.Deployment) string {
	application, pipeline, found := strings.Cut(s.Object, "/")
	if !found || pipeline == "" {
		return ""
	}
	parameter, value, chosen := strings.Cut(s.Previous, "=")
	if !chosen || value == "" {
		return "In Spinnaker: start " + OneLine(pipeline, nameLimit) + " of " + OneLine(application, nameLimit) + " again for " + orLastGood(d)
	}
	path := url.PathEscape(application) + "/" + url.PathEscape(pipeline)
	return `curl -fX POST "$SPINNAKER_GATE"/pipelines/` + shellQuote(path) + " -H 'Content-Type: application/json' -d " +
		shellQuote(`{"type":"manual","parameters":{"`+jsonText(parameter)+`":"`+jsonText(value)+`"}}`) + backTo(d, "SPINNAKER_GATE is the URL of Gate")
}

// undoGitLab runs the job again that deployed the last good version, which is
// what the environment's Rollback button does.
func undoGitLab(s event.Source, d event.Deployment) string {
	previous := OneLine(d.PreviousLabel(), nameLimit)
	switch {
	case s.Previous != "" && s.Object != "" && !isOption(s.Previous) && !isOption(s.Object):
		return "glab ci retry " + shellQuote(s.Previous) + " --repo " + shellQuote(s.Object) + backTo(d)
	case previous != "":
		return "In GitLab: Operate › Environments › " + OneLine(d.Environment, nameLimit) + ", and press Rollback on " + previous
	}
	return ""
}

// undoGitHub runs the workflow again that deployed the last good version, at
// the commit that it had.
func undoGitHub(s event.Source, d event.Deployment) string {
	repository := d.Repository
	if s.Object != "" {
		repository = s.Object
	}
	if isOption(repository) || isOption(s.Previous) || isOption(d.PreviousRevision) {
		return ""
	}
	if repository != "" {
		repository = " --repo " + shellQuote(repository)
	}
	switch {
	case s.Previous != "":
		return "gh run rerun " + shellQuote(s.Previous) + repository + backTo(d)
	case d.PreviousRevision != "":
		return "gh run list --commit " + shellQuote(d.PreviousRevision) + repository + "   # then: gh run rerun ID, of the run that deployed " + previousQuoted(d)
	}
	return ""
}

// objectParts splits "namespace/name" or "name"; ok is false for what a command
// would misread.
func objectParts(object string) (namespace, name string, ok bool) {
	namespace, name, found := strings.Cut(object, "/")
	if !found {
		namespace, name = "", object
	}
	return namespace, name, name != "" && !strings.Contains(name, "/") && !isOption(name) && !isOption(namespace)
}

// orService is the source's own name of what it deploys, else the service's if
// that can be one; "" when there is none.
func orService(object string, d event.Deployment) string {
	if object == "" && !strings.Contains(d.Service, "/") {
		return d.Service
	}
	return object
}

func inNamespace(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " -n " + shellQuote(namespace)
}

// quoted is a further argument, or nothing.
func quoted(argument string) string {
	if argument = strings.TrimSpace(argument); argument == "" {
		return ""
	}
	return " " + shellQuote(argument)
}

// backTo is a comment behind a command: the version that it must end at, and
// what else to know. Not every shell takes a pasted # for a comment, so that what
// stands behind it must be harmless too.
func backTo(d event.Deployment, notes ...string) string {
	if d.PreviousLabel() != "" {
		notes = append([]string{"back to " + previousQuoted(d)}, notes...)
	}
	if len(notes) == 0 {
		return ""
	}
	return "   # " + strings.Join(notes, ", ")
}

func previousQuoted(d event.Deployment) string {
	if d.PreviousLabel() == "" {
		return orLastGood(d)
	}
	return shellQuote(orLastGood(d))
}

func orLastGood(d event.Deployment) string {
	if previous := OneLine(d.PreviousLabel(), nameLimit); previous != "" {
		return previous
	}
	return "the last good version"
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// fillTemplate puts a deployment's names into the placeholders of a user's own
// command. It is refused when a name is unknown, or is not plainly harmless:
// the template's own quotes would make quoting of it unsafe.
func fillTemplate(template string, d event.Deployment) (command string, ok bool) {
	ok = true
	for _, field := range []struct{ name, value string }{
		{"{service}", d.Service}, {"{environment}", d.Environment}, {"{repository}", d.Repository},
		{"{version}", d.Version}, {"{revision}", d.Revision},
		{"{previous_version}", d.PreviousVersion}, {"{previous_revision}", d.PreviousRevision},
	} {
		if strings.Contains(template, field.name) {
			ok = ok && field.value != "" && !isOption(field.value) && shellQuote(field.value) == field.value
			template = strings.ReplaceAll(template, field.name, field.value)
		}
	}
	return template, ok
}
