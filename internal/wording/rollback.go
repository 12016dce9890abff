package wording

import (
	"net/url"
	"slices"
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
	words   func(event.Source, event.Deployment) string // where to do it then; may be nil, or give ""
	oneStep bool                                        // unless told a release, the command goes to the one before
}{
	{event.SourceArgoCD, undoArgoCD, nil, false},
	{event.SourceFlux, undoFlux, nil, true},
	{event.SourceArgoRollouts, undoArgoRollouts, nil, true},
	{event.SourceFlagger, undoFlagger, nil, true},
	{event.SourceHelm, undoHelm, nil, true},
	{event.SourceKubectl, undoKubectl, nil, true},
	{event.SourceSpinnaker, undoSpinnaker, inSpinnaker, false},
	{event.SourceGitLab, undoGitLab, inGitLab, false},
	{event.SourceGitHub, undoGitHub, nil, false},
}

// backToGood is d as if it had replaced good, to which a rollback leads then: a
// source's own number of good is the one to go back to, or none is.
func backToGood(d, good event.Deployment) event.Deployment {
	d.PreviousVersion, d.PreviousRevision = good.Version, good.Revision
	d.Sources = slices.Clone(d.Sources)
	for i := range d.Sources {
		s := &d.Sources[i]
		s.Previous = ""
		for _, of := range good.Sources {
			if s.Object != "" && strings.EqualFold(of.Name, s.Name) && of.Object == s.Object && of.Release != "" && of.Release != s.Release {
				s.Previous = of.Release
				break
			}
		}
	}
	return d
}

// undoArgoCD goes back in the application's history, which `argocd app rollback`
// refuses while auto-sync is on. The revisions of deployments do not help: they
// are of the service's repository, Argo CD's are of the manifests'.
func undoArgoCD(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(s.Object)
	if !ok || IsOption(s.Previous) {
		return ""
	}
	app := ShellQuote(name)
	if namespace != "" && namespace != "argocd" {
		app = ShellQuote(namespace + "/" + name)
	}
	if s.Previous == "" {
		return "argocd app history " + app + "   # then: argocd app rollback " + app + " ID, of " + previousQuoted(d)
	}
	return "argocd app set " + app + " --sync-policy none && argocd app rollback " + app + " " + ShellQuote(s.Previous) + backTo(d, "auto-sync is off then")
}

func undoArgoRollouts(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(s.Object)
	if !ok {
		return ""
	}
	command := "kubectl argo rollouts undo " + ShellQuote(name) + inNamespace(namespace)
	if s.Previous != "" {
		command += " --to-revision=" + ShellQuote(s.Previous)
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
		if IsOption(release) || IsOption(strings.TrimSpace(previous)) {
			return ""
		}
		return "flux suspend helmrelease " + ShellQuote(name) + inNamespace(namespace) +
			" && helm rollback " + ShellQuote(release) + quoted(previous) + inNamespace(releaseNamespace) + backTo(d, "flux resume helmrelease undoes it")
	case "Kustomization":
		_, commit, found := strings.Cut(s.Previous, "@sha1:")
		if !found || !isHex(commit) {
			return ""
		}
		n := inNamespace(namespace)
		// The source's name is only in the cluster.
		return "kubectl" + n + ` patch gitrepository "$(kubectl` + n + " get kustomization " + ShellQuote(name) + ` -o jsonpath='{.spec.sourceRef.name}')"` +
			` --type merge -p '{"spec":{"ref":{"commit":"` + commit + `"}}}' && flux reconcile kustomization ` + ShellQuote(name) + n + " --with-source" + backTo(d)
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
	return "kubectl rollout undo deployment/" + ShellQuote(name) + inNamespace(namespace) + backTo(d, "Flagger analyses and promotes it")
}

func undoHelm(s event.Source, d event.Deployment) string {
	namespace, name, ok := objectParts(orService(s.Object, d))
	if !ok || IsOption(s.Previous) {
		return ""
	}
	return "helm rollback " + ShellQuote(name) + quoted(s.Previous) + inNamespace(namespace) + " --wait" + backTo(d)
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
	if name == "" || len(parts) > 3 || IsOption(name) || IsOption(namespace) || IsOption(kind) {
		return ""
	}
	command := "kubectl rollout undo " + ShellQuote(kind+"/"+name) + inNamespace(namespace)
	if s.Previous != "" {
		command += " --to-revision=" + ShellQuote(s.Previous)
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
		return ""
	}
	path := url.PathEscape(application) + "/" + url.PathEscape(pipeline)
	return `curl -fX POST "$SPINNAKER_GATE"/pipelines/` + ShellQuote(path) + " -H 'Content-Type: application/json' -d " +
		ShellQuote(`{"type":"manual","parameters":{"`+jsonText(parameter)+`":"`+jsonText(value)+`"}}`) + backTo(d, "SPINNAKER_GATE is the URL of Gate")
}

func inSpinnaker(s event.Source, d event.Deployment) string {
	application, pipeline, found := strings.Cut(s.Object, "/")
	if !found || pipeline == "" {
		return ""
	}
	return "In Spinnaker: start " + OneLine(pipeline, nameLimit) + " of " + OneLine(application, nameLimit) + " again for " + orLastGood(d)
}

// undoGitLab runs the job again that deployed the last good version, which is
// what the environment's Rollback button does.
func undoGitLab(s event.Source, d event.Deployment) string {
	if s.Previous == "" || s.Object == "" || IsOption(s.Previous) || IsOption(s.Object) {
		return ""
	}
	return "glab ci retry " + ShellQuote(s.Previous) + " --repo " + ShellQuote(s.Object) + backTo(d)
}

func inGitLab(_ event.Source, d event.Deployment) string {
	previous := OneLine(d.PreviousLabel(), nameLimit)
	if previous == "" {
		return ""
	}
	return "In GitLab: Operate › Environments › " + OneLine(d.Environment, nameLimit) + ", and press Rollback on " + previous
}

// undoGitHub runs the workflow again that deployed the last good version, at
// the commit that it had.
func undoGitHub(s event.Source, d event.Deployment) string {
	repository := d.Repository
	if s.Object != "" {
		repository = s.Object
	}
	if IsOption(repository) || IsOption(s.Previous) || IsOption(d.PreviousRevision) {
		return ""
	}
	if repository != "" {
		repository = " --repo " + ShellQuote(repository)
	}
	switch {
	case s.Previous != "":
		return "gh run rerun " + ShellQuote(s.Previous) + repository + backTo(d)
	case d.PreviousRevision != "":
		return "gh run list --commit " + ShellQuote(d.PreviousRevision) + repository + "   # then: gh run rerun ID, of the run that deployed " + previousQuoted(d)
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
	return namespace, name, name != "" && !strings.Contains(name, "/") && !IsOption(name) && !IsOption(namespace)
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
	return " -n " + ShellQuote(namespace)
}

// quoted is a further argument, or nothing.
func quoted(argument string) string {
	if argument = strings.TrimSpace(argument); argument == "" {
		return ""
	}
	return " " + ShellQuote(argument)
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
	return ShellQuote(orLastGood(d))
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
	version, _ := event.SplitRollout(d.Version)
	previous, _ := event.SplitRollout(d.PreviousVersion)
	for _, field := range []struct{ name, value string }{
		{"{service}", d.Service}, {"{environment}", d.Environment}, {"{repository}", d.Repository},
		{"{version}", version}, {"{revision}", d.Revision},
		{"{previous_version}", previous}, {"{previous_revision}", d.PreviousRevision},
	} {
		if strings.Contains(template, field.name) {
			ok = ok && field.value != "" && !IsOption(field.value) && ShellQuote(field.value) == field.value
			template = strings.ReplaceAll(template, field.name, field.value)
		}
	}
	return template, ok
}
