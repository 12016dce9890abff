package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// outputFlag is --output of a command that prints text or JSON.
func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "text", "`format` of what is printed: text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// noArguments refuses arguments: cobra would call them unknown commands.
func noArguments(c *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("%q: %s takes flags alone (see %s --help)", arguments[0], c.CommandPath(), c.CommandPath())
	}
	return nil
}

// knownCommand refuses what is no command, and names the one that was meant.
func knownCommand(c *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	fix := c.CommandPath() + " --help lists them"
	if meant := c.SuggestionsFor(arguments[0]); len(meant) > 0 {
		fix = "did you mean " + c.CommandPath() + " " + strings.Join(meant, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q; %s", arguments[0], fix)
}

// flagError says how a flag is written right.
func flagError(c *cobra.Command, err error) error {
	fix := "see " + c.CommandPath() + " --help"
	if bad := new(pflag.InvalidValueError); errors.As(err, &bad) {
		switch flag := "--" + bad.GetFlag().Name; bad.GetFlag().Value.Type() {
		case "duration":
			return fmt.Errorf("%s %q: use a duration such as 90s, 10m or 24h", flag, bad.GetValue())
		case "int":
			return fmt.Errorf("%s %q: use a whole number", flag, bad.GetValue())
		case "float64":
			return fmt.Errorf("%s %q: use a number", flag, bad.GetValue())
		}
	}
	if unknown := new(pflag.NotExistError); errors.As(err, &unknown) {
		if meant := similarFlag(c, unknown.GetSpecifiedName()); meant != "" {
			fix = "did you mean --" + meant + "?"
		}
	}
	return fmt.Errorf("%w; %s", err, fix)
}

// similarFlag is the flag of c that a mistyped name stands for: one that it
// begins, or one whose letters it has in another order, less one or with one more.
func similarFlag(c *cobra.Command, name string) (meant string) {
	best := 3
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || len(name) < 3 {
			return
		}
		distance := edits(name, f.Name)
		if strings.HasPrefix(f.Name, name) {
			distance = 0
		}
		if distance < best {
			best, meant = distance, f.Name
		}
	})
	return meant
}

// edits is the Levenshtein distance of two names.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
