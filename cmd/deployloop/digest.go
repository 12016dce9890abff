package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// maxDigest is as much as the console sums up.
const maxDigest = 720 * time.Hour

func newDigestCommand() *cobra.Command {
	var (
		since            time.Duration
		endpoint, output string
	)
	c := &cobra.Command{
		Use:   "digest",
		Short: "Say what was watched, what would have alerted and what stays open",
		Long: `Sum up a period that ends now: the deployments that were watched and their
verdicts, what was alerted and what would have been in mode shadow, how alerts
closed, what stays open, and what nobody said: new versions that no deploy
source told of (untracked), deployments whose telemetry does not come (phantom),
versions that serve nothing (dark).

The same goes into the pipeline of verdicts every day at midnight UTC, as the
event deployloop.digest.`,
		Example: `  deployloop digest
  deployloop digest --since 168h --output json | jq .unclosed`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: use text or json", output)
			}
			if since <= 0 || since > maxDigest {
				return fmt.Errorf("--since %s: use a duration above zero, up to 720h", since)
			}
			client, err := newConsoleClient(endpoint)
			if err != nil {
				return err
			}
			c.SilenceUsage = true // what follows is no error of the command line
			var answer struct {
				Digest event.Digest `json:"digest"`
			}
			if err := client.get(c.Context(), "/api/v1/digest", url.Values{"since": {since.String()}}, &answer); err != nil {
				return err
			}
			if answer.Digest.Till.IsZero() {
				return fmt.Errorf("%s answered, but not as a console does: is the port right?", client.shown())
			}
			out := c.OutOrStdout()
			if output == "json" {
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(answer.Digest)
			}
			first, rest, _ := strings.Cut(wording.Digest(answer.Digest), "\n")
			_, err = fmt.Fprintf(out, "%s\n%s", terminal.NewPainter(out).Bold(first), rest)
			return err
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.DurationVar(&since, "since", 24*time.Hour, "`period` that ends now; at most 720h")
	flags.StringVar(&endpoint, "endpoint", "", "`URL` of the console (default $"+envConsole+", else http://"+defaultConsole+")")
	outputFlag(c, &output)
	return c
}
