package main

import (
	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/httpprovider"
	"go.opentelemetry.io/collector/confmap/provider/httpsprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
)

const (
	groupLoop      = "loop"
	groupCollector = "collector"
)

// newRootCommand is upstream's Collector command, whose flags and subcommands
// keep their meaning, plus deployloop's own commands.
func newRootCommand() *cobra.Command {
	root := otelcol.NewCommand(collectorSettings())
	root.Use = "deployloop"
	root.Short = "An OpenTelemetry Collector that closes the Continuous Deployment feedback loop"
	root.Long = `deployloop is an OpenTelemetry Collector that says, in seconds, for every change:
what changed, why it got worse, and what to do.

Without arguments it runs the Collector with a built-in configuration: OTLP on
127.0.0.1:4317 and :4318, deployments and webhooks on :8088, its page on :8090,
the loop's metrics on :8889, the Collector's own on :8887.`
	root.Example = `  deployloop                                  # the Collector, built-in configuration
  deployloop --config deployloop.yaml         # the Collector, your configuration
  deployloop --set receivers.otlp.protocols.http.endpoint=0.0.0.0:4318
  deployloop demo                             # the whole loop, live, on real services`
	root.SilenceErrors = true
	root.Args = knownCommand
	root.SetFlagErrorFunc(flagError)

	root.AddGroup(
		&cobra.Group{ID: groupLoop, Title: "The loop:"},
		&cobra.Group{ID: groupCollector, Title: "The Collector:"},
	)
	for _, c := range root.Commands() {
		c.GroupID = groupCollector
	}
	plainFlagHelp(root)
	useDefaultConfig(root)

	for _, c := range []*cobra.Command{
		newDemoCommand(),
		newMarkCommand(),
		newGateCommand(),
		newWaiveCommand(),
		newDigestCommand(),
		newExplainCommand(),
		newBacktestCommand(),
		newSuspectsCommand(),
		newReportCommand(),
		newDoctorCommand(),
		newInitCommand(),
		newRunCommand(),
		newDemoServiceCommand(),
		newDemoCollectorCommand()} {
		if c.GroupID == "" {
			c.GroupID = groupLoop
		}
		root.AddCommand(c)
	}
	return root
}

// plainFlagHelp shortens upstream's help: the default of --feature-gates alone
// lists every gate there is (`deployloop featuregate` lists them readably).
func plainFlagHelp(root *cobra.Command) {
	for _, c := range append(root.Commands(), root) {
		if f := c.Flags().Lookup("config"); f != nil {
			f.DefValue, f.Usage = "", "configuration `location`: a file, or SCHEME:REST (file, env, yaml, http, https, default); repeat to merge"
		}
		if f := c.Flags().Lookup("set"); f != nil {
			f.Usage = "override one `key=value` of the configuration, e.g. processors.batch.timeout=2s; repeat for more"
		}
		if f := c.Flags().Lookup("feature-gates"); f != nil {
			f.DefValue, f.Usage = "", "comma-separated feature `gates` to enable, or with a leading - to disable"
		}
	}
}

// collectorSettings is what this binary is made of. The providers repeat
// builder-config.yaml; manifest_test.go holds the two in step.
func collectorSettings() otelcol.CollectorSettings {
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{
			Command:     "deployloop",
			Description: "OpenTelemetry Collector that closes the Continuous Deployment feedback loop",
			Version:     buildVersion(),
		},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: append(manifestProviders(), newDefaultProviderFactory()),
			},
		},
		ProviderModules: map[string]string{
			"env":   "go.opentelemetry.io/collector/confmap/provider/envprovider",
			"file":  "go.opentelemetry.io/collector/confmap/provider/fileprovider",
			"yaml":  "go.opentelemetry.io/collector/confmap/provider/yamlprovider",
			"http":  "go.opentelemetry.io/collector/confmap/provider/httpprovider",
			"https": "go.opentelemetry.io/collector/confmap/provider/httpsprovider",
			scheme:  "github.com/deployloop/deployloop/cmd/deployloop",
		},
	}
}

func manifestProviders() []confmap.ProviderFactory {
	return []confmap.ProviderFactory{
		envprovider.NewFactory(),
		fileprovider.NewFactory(),
		yamlprovider.NewFactory(),
		httpprovider.NewFactory(),
		httpsprovider.NewFactory(),
	}
}
