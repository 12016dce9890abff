package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// newWaiveCommand is deployloop waive: it closes an alert on purpose.
func newWaiveCommand() *cobra.Command {
	var request struct {
		Until  string `json:"until"`
		Reason string `json:"reason"`
		By     string `json:"by"`
	}
	var endpoint, output string
	c := &cobra.Command{
		Use:   "waive ID --until DATE --reason TEXT",
		Short: "Close an alert on purpose",
		Long: `Close an open alert that is accepted for now: who, until when and why is kept
with it. Its symptoms close with it. The id is on the page of alerts and at
/api/v1/anomalies?open=true.

The day is a promise to look again by then, not a timer: nothing opens anew when
it has passed. To be quiet for a while, silence the alert in Alertmanager. The
verdict stays what it is, and with it the gate's answer.

A console without auth and token takes this from its own machine alone. The
token of one that wants it is read from ` + envConsoleToken + `.`,
		Example: `  deployloop waive 3f9c0a1b2d4e --until 2026-12-01 --reason "known; mended in 1.43.0"`,
		Args:    exactlyOne("name one alert by its id: deployloop waive ID; the page of alerts and /api/v1/anomalies?open=true have it"),
		RunE: func(c *cobra.Command, arguments []string) error {
			if request.Until == "" || request.Reason == "" {
				return errors.New("say until when and why: --until 2026-12-01 --reason \"…\"")
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: use text or json", output)
			}
			client, err := newConsoleClient(endpoint)
			if err != nil {
				return err
			}
			c.SilenceUsage = true // what follows is no error of the command line
			if request.By == "" {
				if u, err := user.Current(); err == nil {
					request.By = u.Username
				}
			}
			var answer struct {
				Anomaly event.Anomaly `json:"anomaly"`
			}
			if err := client.post(c.Context(), "/api/v1/anomalies/"+url.PathEscape(arguments[0])+"/waive", request, &answer); err != nil {
				return fmt.Errorf("not waived: %w", err)
			}
			if answer.Anomaly.Closure == nil {
				return errors.New("not waived: the answer is not a console's; is the port right?")
			}
			if output == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(answer.Anomaly)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n%s\n", wording.Summary(answer.Anomaly), wording.Resolution(*answer.Anomaly.Closure))
			return err
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&request.Until, "until", "", "last `day` it is accepted, or an RFC 3339 time; at most 90 days ahead")
	flags.StringVar(&request.Reason, "reason", "", "`why`")
	flags.StringVar(&request.By, "by", "", "`who` (default: your user name; a console with auth knows better)")
	flags.StringVar(&endpoint, "endpoint", "", "`URL` of the console (default $"+envConsole+", else http://"+defaultConsole+")")
	outputFlag(c, &output)
	return c
}
