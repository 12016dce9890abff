package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/endpoint"
)

// Exit codes of deployloop doctor.
const (
	exitBroken   = 1
	exitWarnings = 2 // with --strict
	exitNoConfig = 3 // nothing could be tested
)

const envPrometheus = "DEPLOYLOOP_PROMETHEUS_URL"

// doctorRequest is what deployloop doctor was asked to do.
type doctorRequest struct {
	locations, sets, skip []string
	endpoint, prometheus  string
	timeout               time.Duration
	strict                bool
	output                string
}

func newDoctorCommand() *cobra.Command {
	var request doctorRequest
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Test every link of a running set-up and say the fix",
		Long: `Test every link of a running set-up, and say for each that is broken why, and
what to write or to run.

It reads the configuration that the Collector runs with (--config, else the
built-in one) and makes each client as the component makes its own: the same
TLS, auth, headers and proxy. Run it on the same machine, with the same
environment. It tests what the configuration names:

  configuration  it is valid; every signal is watched, deployments are learnt,
                 and verdicts reach somebody
  otlp           a span, a metric and a log record are taken over gRPC and HTTP
  cicd, webhook  the receiver is there; a signed ping is taken, one without
                 proof refused
  console        it answers; each service has a version that leads to a commit
  alertmanager   a test alert is accepted, seen and resolved
  grafana        an annotation is written, found and removed
  forge          the token may write statuses and comments
  prometheus     takes remote writes; has the loop's metrics
  backend        the OTLP back end takes an empty request
  storage, repository, clocks

What it writes it removes: no deployment is recorded, no alert stays open. The
test alert ends within a second or two; only a route whose group_wait is shorter
would tell somebody of it (--skip alertmanager leaves it out, and a route for
alertname="DeployloopDoctor" to a receiver without integrations keeps it quiet, as
examples/alertmanager.yml has it).

It exits

  0  nothing is broken (there may be warnings)
  1  a link is broken
  2  there are warnings, with --strict
  3  the configuration cannot be read, so nothing was tested

docs/doctor.md explains each cause.`,
		Example: `  deployloop doctor                             # the built-in configuration
  deployloop doctor --config deployloop.yaml
  deployloop doctor --endpoint https://deploys.example   # only what a console tells
  deployloop doctor --config deployloop.yaml --prometheus http://127.0.0.1:9090

  # in CI: fail on warnings too, keep the findings
  deployloop doctor --config deployloop.yaml --strict --output json > doctor.json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case request.output != "text" && request.output != "json":
				return fmt.Errorf("--output %s: use text or json", request.output)
			case request.timeout < time.Second:
				return errors.New("--timeout: use 1s or more")
			}
			for _, name := range request.skip {
				if !slices.Contains(doctorNames, name) {
					return fmt.Errorf("--skip %s: use one of %s", name, strings.Join(doctorNames, ", "))
				}
			}
			c.SilenceUsage = true // what follows is no error of the command line
			return request.run(c)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&request.locations, "config", nil, "configuration `location`, as the Collector takes it; repeat to merge (default: the built-in one)")
	flags.StringArrayVar(&request.sets, "set", nil, "override one `key=value` of the configuration, as the Collector takes it")
	flags.StringVar(&request.endpoint, "endpoint", "", "`URL` of the console; without --config only what it tells is tested (default $"+envConsole+", else as configured)")
	flags.StringVar(&request.prometheus, "prometheus", os.Getenv(envPrometheus), "`URL` of the Prometheus that should hold the loop's metrics (default $"+envPrometheus+")")
	flags.StringArrayVar(&request.skip, "skip", nil, "leave out the `check` of this name; repeat for more")
	flags.DurationVar(&request.timeout, "timeout", 10*time.Second, "`duration` that one check may take")
	flags.BoolVar(&request.strict, "strict", false, "exit 2 when there are warnings")
	outputFlag(c, &request.output)
	_ = c.RegisterFlagCompletionFunc("skip", cobra.FixedCompletions(doctorNames, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// doctorNames are the checks that can be left out.
var doctorNames = []string{"configuration", "otlp", "cicd", "webhook", "console", "services", "alertmanager", "grafana", "forge", "prometheus", "backend", "storage", "repository", "clocks"}

func (r doctorRequest) run(c *cobra.Command) error {
	report := doctorReport{Out: c.OutOrStdout()}
	if r.endpoint == "" {
		r.endpoint = os.Getenv(envConsole)
	}
	var checks []doctor.Check
	clocks := doctor.NewClocks()
	if len(r.locations) == 0 && r.endpoint != "" {
		server, err := consoleServer(r.endpoint, clocks)
		if err != nil {
			return err
		}
		report.Of, report.Console = "the deployloop at "+endpoint.Shown(server.URL), endpoint.Shown(server.URL)
		checks = r.wanted("console", doctor.Console(server, doctor.Expected{}))
		checks = append(checks, r.wanted("services", doctor.Services(server, nil, false))...)
		checks = append(checks, doctor.Said("configuration", "", doctor.Skip("no configuration was given: only the console was asked", "give --config to test every link")))
	} else {
		locations := r.find()
		report.Of = "configuration: " + locationsText(locations)
		set, err := newDoctorSetup(c.Context(), r, locations, clocks)
		if err != nil {
			f := doctor.Fail(doctor.CauseConfigInvalid, err.Error(), "correct what it names; deployloop validate"+configFlags(locations)+" says the same")
			f.Check = "configuration"
			report.Findings = []doctor.Finding{f}
			return errors.Join(report.print(r.output), exitError{code: exitNoConfig})
		}
		defer set.close()
		checks = set.checks(c.Context())
		report.Console = set.consoleShown
	}
	checks = append(checks, r.prometheusChecks(clocks)...)

	progress := newDoctorProgress(c.ErrOrStderr(), len(checks))
	report.Findings = doctor.Run(c.Context(), r.timeout, progress.tell, checks)
	// Last: the answers to all others told the time.
	report.Findings = append(report.Findings, doctor.Run(c.Context(), r.timeout, progress.tell, r.wanted("clocks", clocks.Check(consoleClock)))...)
	progress.clear()
	if err := c.Context().Err(); err != nil {
		return exitError{exitBroken, errors.New("stopped before all was tested")}
	}
	if err := report.print(r.output); err != nil {
		return err
	}
	switch {
	case report.count(doctor.Failure) > 0:
		return exitError{code: exitBroken}
	case r.strict && report.count(doctor.Warning) > 0:
		return exitError{code: exitWarnings}
	}
	return nil
}

// find gives the locations of the configuration: those asked for, else the
// built-in one.
func (r doctorRequest) find() []string {
	if len(r.locations) > 0 {
		return r.locations
	}
	return []string{scheme + ":"}
}

// wanted gives the checks unless their name is to be left out.
func (r doctorRequest) wanted(name string, checks ...doctor.Check) []doctor.Check {
	if slices.Contains(r.skip, name) {
		return nil
	}
	return checks
}

func locationsText(locations []string) string {
	if len(locations) == 1 && locations[0] == scheme+":" {
		return "built in"
	}
	text := ""
	for i, l := range locations {
		if i > 0 {
			text += ", "
		}
		text += endpoint.ShownLocation(l)
	}
	return text
}

// configFlags are how the same configuration is given to another command.
func configFlags(locations []string) string {
	text := ""
	for _, l := range locations {
		if l != scheme+":" || len(locations) > 1 {
			text += " --config " + endpoint.ShownLocation(l)
		}
	}
	return text
}

// readConfig resolves a configuration as the Collector does, so that each
// component's settings are of its own type.
func readConfig(ctx context.Context, locations []string) (*otelcol.Config, otelcol.Factories, error) {
	settings := collectorSettings().ConfigProviderSettings
	settings.ResolverSettings.URIs = locations
	settings.ResolverSettings.DefaultScheme = "env"
	factories, err := components()
	if err != nil {
		return nil, factories, err
	}
	provider, err := otelcol.NewConfigProvider(settings)
	if err != nil {
		return nil, factories, err
	}
	config, err := provider.Get(ctx, factories)
	return config, factories, errors.Join(err, provider.Shutdown(ctx))
}
