package consoleextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// decision is what a verdict means for a tool that asks whether to go on.
type decision string

const (
	decisionPass decision = "pass"
	decisionFail decision = "fail"
	decisionWait decision = "wait" // ask again later
)

// gateQuestion names a deployment as the asking tool knows it.
type gateQuestion struct {
	Service, Environment, Revision, Version string
	EveryMode                               bool // decide by the verdict, whatever the service's mode
}

// gateAnswer is what the gate says of a deployment.
type gateAnswer struct {
	Verdict     event.VerdictState `json:"verdict"`
	Calibrating bool               `json:"calibrating"`
	Reason      string             `json:"reason"`
	// Decision is the verdict under on_inconclusive, on_unavailable and mode.
	Decision decision `json:"decision"`
	// Mode of the service; "" without a verdict. Below gate nothing is held up.
	Mode          event.Mode `json:"mode,omitempty"`
	ETASeconds    float64    `json:"eta_seconds"` // 0: not known, or decided
	MinimumEffect gateEffect `json:"minimum_detectable_effect"`
	Deployment    string     `json:"deployment,omitempty"` // its id; "": not known
	URL           string     `json:"url"`
}

// gateEffect is the smallest harm that could have been seen so far; a zero is
// not known.
type gateEffect struct {
	RateRatio          float64 `json:"rate_ratio"`           // after over before
	ErrorShareIncrease float64 `json:"error_share_increase"` // absolute: 0.01 is a percentage point
}

// gate answers a question. It never passes what there is no evidence for:
// unless the operator set on_inconclusive or on_unavailable to pass, or the
// service's mode says that nothing of it is held up yet.
func (s *site) gate(q gateQuestion) gateAnswer {
	a := gateAnswer{Verdict: event.Inconclusive, Decision: s.cfg.Gate.OnUnavailable, URL: s.publicURL()}
	d, why := s.gateDeployment(q)
	if why != "" {
		a.Reason = why
		return a
	}
	a.Deployment, a.URL = d.ID, s.publicURL()+"/deployments/"+url.PathEscape(d.ID)
	v, ok := s.reader.Verdict(d.ID)
	switch {
	case !ok && d.Baseline:
		a.Reason = fmt.Sprintf("%s %s is the first version that was seen in %s: there is nothing to compare it with.", d.Service, d.Label(), d.Environment)
		return a
	case !ok:
		a.Verdict = event.Watching
		a.Reason = fmt.Sprintf("%s %s is known in %s, and nothing was observed of it yet: its verdict begins with its first telemetry.", d.Service, d.Label(), d.Environment)
		return a
	}
	a.Verdict, a.Calibrating, a.Mode = v.State, v.Calibrating, v.Mode
	a.Reason = wording.Headline(v) + ". " + wording.Reason(v)
	a.MinimumEffect = gateEffect{v.MinimumEffect, v.MinimumEffectAbs}
	if v.State == event.Watching {
		a.ETASeconds = max(0, v.ETA.Seconds())
	}
	switch v.State {
	case event.Healthy, event.Exonerated:
		a.Decision = decisionPass
		if by, undone := s.undone(d); undone {
			a.Verdict, a.Decision = event.Inconclusive, s.cfg.Gate.OnUnavailable
			a.Reason = fmt.Sprintf("%s %s was rolled back by deployment %s: if it is rolled out anew, nothing was seen of that yet.", d.Service, d.Label(), by)
		}
	case event.Regressed:
		a.Decision = decisionFail
	case event.Inconclusive:
		a.Decision = s.cfg.Gate.OnInconclusive
	default:
		a.Decision = decisionWait
	}
	if v.Mode != event.Gate && !q.EveryMode && a.Decision != decisionPass {
		a.Reason += fmt.Sprintf(" (Not held up: the mode of %s is %s; in mode gate the decision would be %s.)", d.Service, v.Mode, a.Decision)
		a.Decision = decisionPass
	}
	return a
}

// gateScan is how many of a service's newest deployments are looked through.
const gateScan = 500

// gateDeployment finds the newest rollout that q names, or says why there is none.
func (s *site) gateDeployment(q gateQuestion) (d event.Deployment, why string) {
	if q.Service == "" {
		return d, "The question names no service."
	}
	if q.Revision == "" && q.Version == "" {
		return d, "The question names neither version nor revision: without one, an older deployment's verdict could pass for this one's."
	}
	found := false
	for _, c := range s.reader.Deployments(ledger.Query{Service: q.Service, Environment: q.Environment, Baselines: true, Limit: gateScan}) {
		if !q.names(c) {
			continue
		}
		if !found {
			d, found = c, true
		} else if c.Environment != d.Environment {
			return event.Deployment{}, fmt.Sprintf("%s %s is in %s and in %s: name the environment.", q.Service, d.Label(), d.Environment, c.Environment)
		}
	}
	if found {
		return d, ""
	}
	where := "any environment"
	if q.Environment != "" {
		where = q.Environment
	}
	what := q.Version
	if what == "" {
		what = event.ShortRevision(q.Revision)
	}
	return d, wording.OneLine(fmt.Sprintf("%s %s is not known in %s: neither its telemetry nor a deploy source spoke of it. Compare service.name, service.version, vcs.ref.head.revision and deployment.environment.name with what was asked.",
		q.Service, what, where), 600)
}

// names tells whether d is the deployment that is asked for. Where both sides
// know a version or a revision, it must be the same.
func (q gateQuestion) names(d event.Deployment) bool {
	agreed := false
	if q.Version != "" && d.Version != "" {
		if !event.SameVersion(q.Version, d.Version) {
			return false
		}
		agreed = true
	}
	if q.Revision != "" && d.Revision != "" {
		if !event.SameRevision(q.Revision, d.Revision) {
			return false
		}
		agreed = true
	}
	return agreed
}

// undone tells whether the newest deployment there is a rollback of d.
func (s *site) undone(d event.Deployment) (by string, undone bool) {
	for _, latest := range s.reader.Deployments(ledger.Query{Service: d.Service, Environment: d.Environment, Limit: 1}) {
		return latest.ID, latest.RollbackOf == d.ID
	}
	return "", false
}

// gateArgo answers Argo Rollouts' web provider, and deployloop gate. It is 200
// whatever the verdict: the provider reads any other status as its own failure.
func (s *site) gateArgo(w http.ResponseWriter, r *http.Request) {
	if !s.gateAuthorized(w, r) {
		return
	}
	v := r.URL.Query()
	a := s.gate(gateQuestion{v.Get("service"), v.Get("environment"), v.Get("revision"), v.Get("version"), v.Get("respect_mode") == "false"})
	for k := range v {
		switch k {
		case "service", "environment", "revision", "version", "respect_mode":
		default:
			a = gateAnswer{Verdict: event.Inconclusive, Decision: s.cfg.Gate.OnUnavailable, URL: s.publicURL(),
				Reason: wording.OneLine(fmt.Sprintf("Unknown parameter %q: use service, environment, and revision or version; respect_mode.", k), 300)}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	s.writeJSON(w, r, http.StatusOK, a)
}

// flaggerHook is what Flagger posts to a webhook of a Canary. The metadata keys
// are those that the cicd receiver reads from its event webhook.
type flaggerHook struct {
	Name, Namespace, Phase string
	Metadata               map[string]string
}

// flaggerBodyLimit bounds a webhook's body in bytes.
const flaggerBodyLimit = 64 << 10

// gateFlagger answers Flagger's webhooks: up to 202 means yes, anything above
// means no, and then the body ends up in the Canary's events.
func (s *site) gateFlagger(w http.ResponseWriter, r *http.Request) {
	if !s.gateAuthorized(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer := func(status int, text string) {
		s.write(w, r, status, "text/plain; charset=utf-8", []byte(text+"\n"))
	}
	var hook flaggerHook
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, flaggerBodyLimit)).Decode(&hook); err != nil {
		answer(http.StatusBadRequest, "this is no webhook of Flagger: "+err.Error())
		return
	}
	q := gateQuestion{
		Service: hook.Metadata["service"], Environment: hook.Metadata["environment"],
		Revision: hook.Metadata["revision"], Version: hook.Metadata["version"],
	}
	if q.Service == "" {
		q.Service = hook.Name
	}
	if q.Environment == "" {
		q.Environment = hook.Namespace
	}
	a := s.gate(q)
	yes := false
	switch r.PathValue("hook") {
	case "rollout": // a failed check counts towards the Canary's threshold
		yes = a.Decision != decisionFail
	case "confirm-promotion":
		yes = a.Decision == decisionPass
	case "rollback": // yes rolls back: on proof alone
		yes = a.Verdict == event.Regressed && a.Decision == decisionFail
	default:
		answer(http.StatusNotFound, "no such hook: use rollout, confirm-promotion or rollback")
		return
	}
	status := http.StatusOK
	if !yes {
		status = http.StatusConflict
	}
	answer(status, fmt.Sprintf("%s: %s %s", a.Verdict, a.Reason, a.URL))
}
