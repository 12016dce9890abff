package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/event"
)

// newMarkCommand is deployloop mark: it tells the cicd receiver of a deployment.
func newMarkCommand() *cobra.Command {
	var (
		request           cicd.DeploymentRequest
		endpoint, output  string
		started, finished string
		timeout           time.Duration
	)
	c := &cobra.Command{
		Use:   "mark --service S (--revision R | --version V)",
		Short: "Record a deployment",
		Long: `Tell deployloop that a service was deployed: what, where, and how to undo it.

Run it in the job that deploys, before the new version takes traffic (status
started) or after (succeeded, failed, rolled_back). Marking the same deployment
again only adds what is new. Without it deployloop still sees deployments, by
the first telemetry of a new version; marked ones it knows sooner, with the
commit range and the rollback command.

A receiver with auth (deployloop init sets it up where others reach it) wants the
token of DEPLOYLOOP_CICD_TOKEN; there is no flag, since others see arguments.

It exits 1 when the deployment could not be recorded. In a script that must not
fail for that, add "|| true".`,
		Example: `  deployloop mark --service checkout --version 1.42.0 --revision "$GITHUB_SHA" --environment production

  # both ends of a rollout, as one deployment
  deployloop mark --service checkout --revision 9f2c1ab --status started
  kubectl rollout status deploy/checkout &&
    deployloop mark --service checkout --revision 9f2c1ab --status succeeded

  # what to suspect, and how to undo it
  deployloop mark --service checkout --revision 9f2c1ab --previous-revision a1b2c3d \
    --repository acme/shop --rollback-command "kubectl rollout undo deploy/checkout"

  # deployed by Helm: a bad verdict comes with "helm rollback checkout 6 -n shop"
  deployloop mark --service checkout --version 1.42.0 --tool helm --object shop/checkout --release 7

  # a deployloop elsewhere
  DEPLOYLOOP_CICD_URL=https://deploys.example:8088 deployloop mark --service checkout --version 1.42.0`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: use text or json", output)
			}
			var err error
			if request.StartedAt, err = parseTime("--started-at", started); err != nil {
				return err
			}
			if request.FinishedAt, err = parseTime("--finished-at", finished); err != nil {
				return err
			}
			client, err := cicdclient.New(endpoint)
			if err != nil {
				return err
			}
			c.SilenceUsage = true // what follows is no error of the command line
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			id, err := client.Mark(ctx, request)
			if err != nil {
				return fmt.Errorf("the deployment was not recorded: %w", err)
			}
			if output == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(map[string]string{"id": id})
			}
			environment := request.Environment
			if environment == "" {
				environment = event.DefaultEnvironment
			}
			what := request.Version
			if what == "" {
				what = event.ShortRevision(request.Revision)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "recorded: %s %s in %s (%s)\n", request.Service, what, environment, id)
			return err
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&request.Service, "service", "", "the deployed `service`, as its telemetry says in service.name")
	flags.StringVar(&request.Revision, "revision", "", "deployed `commit`")
	flags.StringVar(&request.Version, "version", "", "deployed `version`, as telemetry says in service.version")
	flags.StringVar(&request.Environment, "environment", "", "`where` it was deployed (default \"default\")")
	flags.StringVar(&request.Status, "status", "", "`state`: started, succeeded, failed or rolled_back (default started)")
	flags.StringVar(&request.PreviousRevision, "previous-revision", "", "`commit` that ran there before")
	flags.StringVar(&request.PreviousVersion, "previous-version", "", "`version` that ran there before")
	flags.StringVar(&request.Repository, "repository", "", "`repository`, as the forge names it: acme/shop")
	flags.StringVar(&request.RollbackCommand, "rollback-command", "", "`command` that undoes it, shown with a bad verdict; {previous_version} and the like are filled in")
	flags.StringVar(&request.Tool, "tool", "", "`tool` that deployed it, for its rollback: "+strings.Join(cicd.Tools, ", "))
	flags.StringVar(&request.Object, "object", "", "what the tool calls it: `namespace/name`")
	flags.StringVar(&request.Release, "release", "", "the tool's own `number` of it, e.g. the revision in helm history")
	flags.StringVar(&request.PreviousRelease, "previous-release", "", "the tool's `number` of what ran before (default: as marked then)")
	flags.StringVar(&request.URL, "url", "", "`page` of the job that deploys")
	flags.StringVar(&request.ID, "id", "", "your own `id` of the deployment; mark it again with the same")
	flags.StringVar(&started, "started-at", "", "`time` it began, RFC 3339 (default now)")
	flags.StringVar(&finished, "finished-at", "", "`time` it ended, RFC 3339")
	flags.StringVar(&endpoint, "endpoint", "", "`URL` of the cicd receiver (default $DEPLOYLOOP_CICD_URL, else "+cicdclient.DefaultEndpoint+")")
	flags.DurationVar(&timeout, "timeout", 30*time.Second, "`duration` to try for")
	outputFlag(c, &output)
	// Required flags are checked by the request itself, whose errors say more.
	for name, values := range map[string][]string{
		"status": {"started", "succeeded", "failed", "rolled_back"},
		"tool":   cicd.Tools,
	} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s %q: give an RFC 3339 time such as 2026-11-23T14:02:00Z", flag, text)
	}
	return t, nil
}
