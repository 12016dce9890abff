package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// A help text names the value of each flag by what it is, not by its Go type, and
// every command that prints text or JSON takes -o.
func TestEveryFlagNamesItsValue(t *testing.T) {
	types := []string{"string", "strings", "stringArray", "int", "float", "float64", "uint"}
	for _, c := range newRootCommand().Commands() {
		if c.Hidden || c.GroupID != groupLoop {
			continue
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name, _ := pflag.UnquoteUsage(f)
			require.NotContains(t, types, name, "%s --%s", c.Name(), f.Name)
		})
		if f := c.Flags().Lookup("output"); f != nil {
			require.Equal(t, "o", f.Shorthand, c.Name())
		}
	}
}

func TestWrongCommandLinesNameTheFix(t *testing.T) {
	for line, want := range map[string]string{
		"demoo":                       "did you mean deployloop demo?",
		"frobnicate":                  "deployloop --help lists them",
		"--confg x":                   "did you mean --config?",
		"demo extra":                  `"extra": deployloop demo takes flags alone`,
		"demo --fault cosmic":         "use one of exception, errors,",
		"gate --wait 5":               `--wait "5": use a duration such as 90s, 10m or 24h`,
		"gate --servce x":             "did you mean --service?",
		"gate --frobnicate":           "see deployloop gate --help",
		"waive":                       "name one alert by its id",
		"waive a b":                   "name one alert by its id",
		"explain a b":                 "name one deployment",
		"digest --since 900h":         "up to 720h",
		"suspects --top many":         `--top "many": use a whole number`,
		"suspects --top 0":            "--top and --max-commits: use 1 or more",
		"suspects --threshold high":   `--threshold "high": use a number`,
		"report --frobnicate":         "see deployloop report --help",
		"doctor --skip x":             "use one of configuration, otlp,",
		"init --yes --grafana x":      "http://127.0.0.1:3000",
		"init --yes --file /no/x.yml": "make the folder /no",
	} {
		c := newRootCommand()
		c.SetArgs(strings.Fields(line))
		c.SetOut(new(strings.Builder))
		c.SetErr(new(strings.Builder))
		var cmd *cobra.Command
		cmd, err := c.ExecuteC()
		require.ErrorContains(t, err, want, "%s (%s)", line, cmd.Name())
	}
}
