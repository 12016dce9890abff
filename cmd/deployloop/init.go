package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/confmap"

	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/setup"
	"github.com/deployloop/deployloop/internal/terminal"
)

// initRequest is what deployloop init was asked to do.
type initRequest struct {
	answers           setup.Answers
	repositories      []string
	file, environment string
	force, yes        bool
	output            string
	asked             func(flag string) bool // that it was given
}

// errNobodyAnswers: silence is no consent to what a person was to be asked.
var errNobodyAnswers = errors.New("nothing was written: there is no terminal to answer on; use --yes to take the answers of the flags as they are")

func newInitCommand() *cobra.Command {
	var request initRequest
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration and print the webhook settings",
		Long: `Write a configuration that starts, with the secrets that it needs, and print
what to enter in the forge and the deploy tools.

On a terminal it asks a few questions; each has a flag, and --yes takes the
answers as they are. Elsewhere it needs --yes (or --output json). It writes two files, readable by you alone: the
configuration, and the secrets of the webhooks (made up here) and tokens (yours
to fill in) as environment variables. It overwrites no configuration without
--force, and never a secret.`,
		Example: `  deployloop init                       # asks

  deployloop init --yes --alertmanager http://127.0.0.1:9093 --mode advise \
    --webhook github --public-url https://deploys.example

  # beside a collector that you have: it sends here, and all passes on
  deployloop init --yes --backend tempo.example:4317 --prometheus-remote-write http://127.0.0.1:9090/api/v1/write

  # then
  set -a; . ./deployloop.env; set +a
  deployloop --config deployloop.yaml
  deployloop doctor --config deployloop.yaml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if request.output != "text" && request.output != "json" {
				return fmt.Errorf("--output %s: use text or json", request.output)
			}
			for _, text := range request.repositories {
				service, path, _ := strings.Cut(text, "=")
				request.answers.Repositories = append(request.answers.Repositories, setup.Repository{Service: service, Path: path})
			}
			if request.environment == "" {
				request.environment = strings.TrimSuffix(request.file, filepath.Ext(request.file)) + ".env"
			}
			request.asked = func(flag string) bool { return c.Flags().Changed(flag) }
			return request.run(c)
		},
	}
	dir, err := stateDir()
	if err != nil {
		dir = "/var/lib/deployloop"
	}
	flags, a := c.Flags(), &request.answers
	flags.SortFlags = false
	flags.StringVar(&request.file, "file", "deployloop.yaml", "`path` of the configuration to write")
	flags.StringVar(&request.environment, "env-file", "", "`path` of the secrets to write (default: beside the configuration, ending in .env)")
	flags.BoolVar(&request.force, "force", false, "overwrite the configuration; secrets that exist are kept")
	flags.BoolVar(&request.yes, "yes", false, "ask nothing")
	flags.StringVar(&a.Mode, "mode", "shadow", "`reach` of verdicts: shadow (the page only), advise (alerts) or gate")
	flags.StringSliceVar(&a.Alertmanagers, "alertmanager", nil, "`URL` of an Alertmanager; repeat for each of a cluster")
	flags.StringVar(&a.Grafana, "grafana", "", "`URL` of Grafana, for an annotation of each deployment")
	flags.StringVar(&a.RemoteWrite, "prometheus-remote-write", "", "`URL` to write the loop's metrics to (default: Prometheus scrapes --metrics)")
	flags.StringVar(&a.Backend, "backend", "", "where telemetry passes on by OTLP: `host:port` (gRPC) or a URL (HTTP)")
	flags.StringVar(&a.Forge, "forge", "", "`forge` to tell verdicts to: github, gitlab or gitea")
	flags.StringVar(&a.ForgeEndpoint, "forge-endpoint", "", "its `URL`, where it is not the public one")
	flags.StringSliceVar(&a.Webhooks, "webhook", nil, "`source` of webhooks; repeat for more: "+strings.Join(setup.Sources, ", "))
	flags.StringVar(&a.PublicURL, "public-url", "", "`URL` by which webhooks reach --cicd, of a proxy or tunnel")
	flags.StringArrayVar(&request.repositories, "repository", nil, "`SERVICE=PATH` of a local clone to name commits from; repeat for more, * is every service")
	flags.StringVar(&a.ConsoleURL, "console-url", "", "`URL` by which people open the console, for links (default: its address)")
	flags.StringVar(&a.StateDir, "state-dir", dir, "`folder` for what is learnt")
	flags.StringVar(&a.OTLPGRPC, "otlp-grpc", defaultOTLPGRPC, "`address` to take OTLP over gRPC at")
	flags.StringVar(&a.OTLPHTTP, "otlp-http", defaultOTLPHTTP, "`address` to take OTLP over HTTP at")
	flags.StringVar(&a.CICD, "cicd", defaultCICD, "`address` to take webhooks and deployments at; where others reach it (--public-url, --webhook), deployments and reports need a token")
	flags.StringVar(&a.Console, "console", defaultConsole, "`address` of the console")
	flags.StringVar(&a.Metrics, "metrics", defaultMetrics, "`address` at which Prometheus scrapes the loop's metrics")
	flags.StringVar(&a.SelfMetrics, "self-metrics", defaultSelfMetrics, "`address` at which Prometheus scrapes what the Collector counts of itself (a collector of another distribution has 127.0.0.1:8888)")
	outputFlag(c, &request.output)
	for name, values := range map[string][]string{"mode": setup.Modes, "forge": setup.Forges, "webhook": setup.Sources} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

func (r *initRequest) run(c *cobra.Command) error {
	// Before anything is asked: whoever answered wants the files.
	if _, err := os.Lstat(r.file); err == nil && !r.force {
		return fmt.Errorf("%s exists: choose another --file, or overwrite it with --force (secrets are kept)", r.file)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !r.yes && r.output == "text" {
		in, isFile := c.InOrStdin().(*os.File)
		if !isFile || !terminal.IsTerminal(in) {
			return errNobodyAnswers
		}
		if err := r.ask(in, c.OutOrStdout()); err != nil {
			return err
		}
	}
	if err := r.answers.Validate(); err != nil {
		return err
	}
	c.SilenceUsage = true // what follows is no error of the command line
	for _, clone := range r.answers.Repositories {
		if _, err := gitrange.Open(clone.Path); err != nil { // it may be one where deployloop is to run
			fmt.Fprintf(c.ErrOrStderr(), "warning: --repository %s=%s: %v; no commit will be named from it unless there is a clone where deployloop runs\n", clone.Service, clone.Path, err)
		}
	}
	config, err := setup.Config(r.answers)
	if err != nil {
		return err
	}
	former, err := os.ReadFile(r.environment)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	variables := setup.Variables(r.answers)
	environment, values := setup.EnvironmentFile(variables, string(former))
	if err := tryConfig(c.Context(), config, values); err != nil {
		return fmt.Errorf("nothing was written, since the configuration would not start: %w", err)
	}
	if len(variables) > 0 {
		if err := writePrivate(r.environment, environment); err != nil {
			return err
		}
	}
	if err := writePrivate(r.file, config); err != nil {
		return err
	}
	if r.output == "json" {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			File        string           `json:"file"`
			Environment string           `json:"env_file,omitempty"`
			Variables   []setup.Variable `json:"variables"`
			Webhooks    []setup.Webhook  `json:"webhooks"`
			Next        []string         `json:"next"`
		}{r.file, r.environmentIf(variables), variables, setup.Webhooks(r.answers), r.next(variables)})
	}
	return r.print(c.OutOrStdout(), variables, values)
}

// tryConfig reads the configuration as the Collector would, with the secrets set.
func tryConfig(ctx context.Context, config string, values map[string]string) error {
	for name, value := range values {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	read, _, err := readConfig(ctx, []string{"yaml:" + config})
	if err != nil {
		return err
	}
	return confmap.Validate(read)
}

// writePrivate writes a file whole or not at all, readable by its owner alone.
func writePrivate(path, text string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write %s: make the folder %s first, or name another file", path, filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

func (r *initRequest) environmentIf(variables []setup.Variable) string {
	if len(variables) == 0 {
		return ""
	}
	return r.environment
}
