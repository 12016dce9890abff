package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/demo"
	"github.com/deployloop/deployloop/demo/shop"
)

func newDemoCommand() *cobra.Command {
	var fault, alertmanager, output string
	var headless, stack bool
	var names []string
	for _, f := range shop.Faults {
		names = append(names, f.Name)
	}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the loop, live: a bad deploy, its verdict and alert, the rollback",
		Long: `Plays the whole loop on this machine, on real parts: three HTTP services under
load, a git repository, a good deploy and a bad one. The page shows the verdict,
the commit and the rollback command; then the demo rolls back and the alert ends.

It takes about two minutes, needs no network, and leaves nothing behind.
An Alertmanager is used if there is one (.tools/bin or PATH, or --alertmanager).
With --output json the measured times are printed at the end, and the story on
standard error.

With --stack a real Prometheus runs beside it: it scrapes the loop, holds the
shipped rules against it and alerts to the same Alertmanager, so that you can
see the rules fire and clear, and point a Grafana at it.`,
		Example: `  deployloop demo
  deployloop demo --fault latency
  deployloop demo --stack                     # with Prometheus; scripts/install-tools.sh prometheus alertmanager
  deployloop demo --headless --output json    # for scripts: exit code 1 if the loop did not close`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, ok := shop.FaultNamed(fault)
			if !ok {
				return fmt.Errorf("--fault %s: use one of %s", fault, strings.Join(names, ", "))
			}
			story := cmd.OutOrStdout()
			switch output {
			case "text":
			case "json":
				story = cmd.ErrOrStderr()
				headless = true
			default:
				return fmt.Errorf("--output %s: use text or json", output)
			}
			return playDemo(cmd, demo.Options{Fault: chosen, Alertmanager: alertmanager, Headless: headless, Stack: stack}, story, output == "json")
		},
	}
	cmd.Flags().StringVar(&fault, "fault", shop.Faults[0].Name, "`fault` to ship: "+strings.Join(names, ", "))
	cmd.Flags().BoolVar(&headless, "headless", false, "end when the loop has closed, with exit code 1 if it did not")
	cmd.Flags().StringVar(&alertmanager, "alertmanager", "", "tell the Alertmanager at this `URL`")
	cmd.Flags().BoolVar(&stack, "stack", false, "with a real Prometheus and Alertmanager (PATH or .tools/bin): rules that fire and clear, dashboards that have data")
	outputFlag(cmd, &output)
	_ = cmd.RegisterFlagCompletionFunc("fault", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func playDemo(cmd *cobra.Command, o demo.Options, story io.Writer, asJSON bool) error {
	result, err := demo.Run(cmd.Context(), o, story)
	if cmd.Context().Err() != nil {
		return nil //nolint:nilerr // Ctrl-C ends a demo, it is no failure
	}
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(result); err != nil {
			return err
		}
	}
	if err := result.Err(); err != nil {
		return exitError{code: 1}
	}
	return nil
}

// newDemoServiceCommand is one instance of a service of the shop; the demo runs
// this binary again for each.
func newDemoServiceCommand() *cobra.Command {
	var o demo.ServiceOptions
	cmd := &cobra.Command{
		Use:    "demo-service",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.RunService(demo.UntilInputEnds(cmd.Context()), o, cmd.OutOrStdout())
		},
	}
	for flag, value := range map[string]*string{
		"service": &o.Service, "version-name": &o.Version, "revision": &o.Revision, "instance": &o.Instance,
		"environment": &o.Environment, "fault": &o.Fault, "otlp": &o.OTLP, "upstream": &o.Upstream,
	} {
		cmd.Flags().StringVar(value, flag, "", "")
	}
	return cmd
}

// newDemoCollectorCommand is the Collector, ending with its standard input.
func newDemoCollectorCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "demo-collector",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			collector := newRootCommand()
			collector.SetArgs(args)
			return collector.ExecuteContext(demo.UntilInputEnds(cmd.Context()))
		},
	}
}
