package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// Running is what a console tells of its deployloop.
type Running struct {
	Version string `json:"version"`
	Mode    string `json:"mode"` // "" without an anomaly connector
}

// Expected is what a configuration says of the deployloop that runs by it.
type Expected struct {
	Version string // of this program; "": not compared
	Mode    string // of the anomaly connector; "": not compared
}

// Console asks the console how it is.
func Console(s Server, want Expected) Check {
	return Check{"console", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		var is Running
		if f := s.askConsole(ctx, "api/v1/status", nil, &is); f.Cause != "" {
			return []Finding{f}
		}
		if is.Version == "" {
			return []Finding{s.wrong(answer{status: http.StatusOK})}
		}
		if want.Mode != "" && is.Mode != "" && want.Mode != is.Mode {
			return []Finding{Warn(CauseConfigDiffers, fmt.Sprintf("the running deployloop is in mode %s, and the configuration says %s: it was started with another one", is.Mode, want.Mode),
				"restart deployloop with this configuration, or give doctor the --config that it runs with")}
		}
		if want.Version != "" && want.Version != is.Version {
			return []Finding{Warn(CauseVersionDiffers, fmt.Sprintf("version %s is running, and this is %s", is.Version, want.Version), "restart deployloop")}
		}
		return []Finding{ok("answers; version %s, mode %s", is.Version, orNone(is.Mode))}
	}}
}

func orNone(mode string) string {
	if mode == "" {
		return "none"
	}
	return mode
}

// askConsole reads a JSON answer of the console's API.
func (s Server) askConsole(ctx context.Context, path string, query url.Values, into any) Finding {
	got, err := s.call(ctx, http.MethodGet, path, query, nil)
	switch {
	case err != nil:
		return s.unreachable(err)
	case got.status == http.StatusUnauthorized:
		return Warn(CauseUnauthenticated, fmt.Sprintf("the console wants credentials (%s)", got.said()),
			"put user and password of its auth into the URL: --endpoint https://USER:PASSWORD@HOST, or set DEPLOYLOOP_CONSOLE_TOKEN")
	case got.status/100 != 2:
		return s.refused(got, "a question to its API")
	case json.Unmarshal(got.body, into) != nil:
		return s.wrong(got)
	}
	return Finding{}
}

// DeployedRepositories are those that the latest deployments name; none where
// the console cannot be asked, which its own check tells.
func DeployedRepositories(ctx context.Context, s Server) (list []string) {
	var answer struct{ Deployments []event.Deployment }
	if f := s.askConsole(ctx, "api/v1/deployments", url.Values{"limit": {"200"}}, &answer); f.Cause != "" {
		return nil
	}
	for _, d := range answer.Deployments {
		if d.Repository != "" && !slices.Contains(list, d.Repository) {
			list = append(list, d.Repository)
		}
	}
	return list
}

// coverage is what the console's coverage report says of one service.
type coverage struct {
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Version     bool      `json:"version"`
	Apart       bool      `json:"told_apart"` // an older console does not say
	Commit      bool      `json:"revision"`
	CommitTold  bool      `json:"commit_known"`
	Named       bool      `json:"environment_named"`
	Telemetry   bool      `json:"telemetry"`
	Traces      bool      `json:"traces"`
	LagSeconds  float64   `json:"lag_seconds"`
	Source      bool      `json:"deploy_source"`
	At          time.Time `json:"last_deployment_at"`
}

// A service's clock is off by as much as the coverage report says so.
const (
	lagAhead  = -2.0
	lagBehind = 60.0
)

// Services reads the console's coverage report, and looks for the deployed
// commits in the clones: each service must name a version that leads to a
// commit that is known. all says that these are all clones there are; else
// nothing can be said of a commit that no push told.
func Services(s Server, clones []Clone, all bool) Check {
	return Check{"services", "", func(ctx context.Context) []Finding {
		var report struct{ Services []coverage }
		if f := s.askConsole(ctx, "api/v1/coverage", nil, &report); f.Cause != "" {
			return []Finding{f}
		}
		if len(report.Services) == 0 {
			return []Finding{Skip("no service was seen yet", "set OTEL_EXPORTER_OTLP_ENDPOINT on a service, and OTEL_RESOURCE_ATTRIBUTES=service.version=1.0.0,vcs.ref.head.revision=COMMIT")}
		}
		var found []Finding
		for _, c := range report.Services {
			place := c.Service
			if c.Environment != event.DefaultEnvironment {
				place += " in " + c.Environment
			}
			list := c.findings(s.URL)
			if all {
				if f := s.commitFinding(ctx, c, clones); f.Cause != "" {
					list = append(list, f)
				}
			}
			if len(list) == 0 {
				list = []Finding{ok("version, commit, environment and deploy source are known")}
			}
			for i := range list {
				list[i].Target = place
			}
			found = append(found, list...)
		}
		return found
	}}
}

// attribute is how a service is given a resource attribute.
func attribute(pair string) string { return "on the service: OTEL_RESOURCE_ATTRIBUTES=" + pair }

// findings of what the report says of a service.
func (c coverage) findings(console string) (list []Finding) {
	if !c.Telemetry {
		list = append(list, Warn(CauseNoTelemetry, "deployments of it are told, and no telemetry came since deployloop started",
			"point its OTEL_EXPORTER_OTLP_ENDPOINT here, and compare the names at "+strings.TrimRight(endpoint.Shown(console), "/")+"/coverage"))
	} else if !c.Traces {
		list = append(list, Warn(CauseNoTraces, "it sends no traces: there are no error shares or latencies to compare", "on the service: OTEL_TRACES_EXPORTER=otlp"))
	}
	if !c.Version && !c.Apart && c.Telemetry {
		list = append(list, Fail(CauseNoVersion, "its telemetry names neither a version nor a revision: old and new instances cannot be told apart",
			attribute("service.version=1.2.3")+", or vcs.ref.head.revision=COMMIT"))
	}
	if !c.Commit {
		list = append(list, Warn(CauseNoCommit, "no commit is known of it: no suspect can be named",
			attribute("vcs.ref.head.revision=COMMIT")+", or deployloop mark --service "+wording.ShellQuote(c.Service)+" --revision COMMIT in the job that deploys"))
	}
	if !c.Named {
		list = append(list, Warn(CauseNoEnvironment, "it names no environment: staging would be compared with production", attribute("deployment.environment.name=production")))
	}
	if !c.Source {
		list = append(list, Warn(CauseNoDeploySource, "its deployments are seen by their telemetry only: late, and without a rollback command",
			"in the job that deploys: deployloop mark --service "+wording.ShellQuote(c.Service)+" --version VERSION"))
	}
	switch lag := time.Duration(c.LagSeconds * float64(time.Second)).Round(time.Second); {
	case c.LagSeconds < lagAhead:
		list = append(list, Fail(CauseServiceClock, fmt.Sprintf("its clock is %s ahead: its telemetry is left out", -lag), "on its machine: timedatectl set-ntp true"))
	case c.LagSeconds > lagBehind:
		list = append(list, Fail(CauseServiceClock, fmt.Sprintf("its telemetry is %s late at best: what is late is left out", lag), "on its machine: timedatectl set-ntp true; else shorten the queue before deployloop"))
	}
	return list
}

// commitFinding looks whether the deployed commit of a service can be found.
func (s Server) commitFinding(ctx context.Context, c coverage, clones []Clone) Finding {
	if !c.Commit {
		return Finding{}
	}
	var list struct{ Deployments []event.Deployment }
	if f := s.askConsole(ctx, "api/v1/deployments", url.Values{"service": {c.Service}, "environment": {c.Environment}, "limit": {"1"}}, &list); f.Cause != "" {
		return f
	}
	if len(list.Deployments) == 0 || list.Deployments[0].Revision == "" {
		return Finding{}
	}
	revision := list.Deployments[0].Revision
	mine := clonesOf(clones, c.Service)
	for _, clone := range mine {
		if has, err := clone.has(ctx, revision); has || err != nil {
			return Finding{} // what is wrong with the clone is told of the clone
		}
	}
	switch short := event.ShortRevision(revision); {
	case len(mine) > 0 && !c.CommitTold:
		return Fail(CauseCommitNotInClone, fmt.Sprintf("its deployed commit %s is in no clone that serves it", short), "git -C "+wording.ShellQuote(mine[0].Path)+" fetch --all, best every minute")
	case !c.CommitTold:
		return Warn(CauseCommitUnknown, fmt.Sprintf("its deployed commit %s is in no push that was told: no suspect can be named", short),
			fmt.Sprintf("add connectors: {anomaly: {repositories: [{service: %q, path: /srv/git/shop.git}]}}, or the forge's push webhook", c.Service))
	}
	return Finding{}
}
