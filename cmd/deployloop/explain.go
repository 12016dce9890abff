package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/terminal"
)

// Exit codes of deployloop explain.
const (
	exitDisagrees = 2
	exitUntold    = 3 // the document holds too little to tell
)

// maxDocument bounds what is read of a document, in bytes.
const maxDocument = 32 << 20

// newExplainCommand shows what a verdict stands on, and checks it.
func newExplainCommand() *cobra.Command {
	var endpoint, file, output string
	c := &cobra.Command{
		Use:   "explain ID",
		Short: "Show what a verdict stands on, and recompute it",
		Long: `Fetch the evidence document of a deployment and show what was compared, how the
evidence grew and which threshold decided. The verdict is then recomputed from
the counts in the document, with the same statistics as the detector's, and
compared with what was told. Exit codes:

  0  the verdict follows from its counts
  1  the document could not be read
  2  the verdict does not follow from its counts
  3  the document holds too little to tell

ID is the deployment's, as on its page and in its alerts. A document from
` + "`deployloop backtest --evidence`" + ` or from the console's API is read with --file.
docs/evidence.md describes the document.`,
		Example: `  deployloop explain 693830586d81
  deployloop explain 693830586d81 --output json | jq .recomputation
  deployloop explain --file evidence/693830586d81.json`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) > 1 {
				return fmt.Errorf("%d ids: name one deployment", len(arguments))
			}
			return nil
		},
		RunE: func(c *cobra.Command, arguments []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: use text or json", output)
			}
			if (file == "") == (len(arguments) == 0) {
				return errors.New("name a deployment's id, or a document with --file (- for standard input)")
			}
			var document *detect.Document
			var err error
			if file != "" {
				document, err = readDocument(file, c.InOrStdin())
			} else {
				document, err = fetchDocument(c.Context(), endpoint, arguments[0])
			}
			if err != nil {
				return err
			}
			c.SilenceUsage = true // what follows is no error of the command line
			return explain(c.OutOrStdout(), document, output)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&file, "file", "", "read the document from a `file`, or from standard input (-)")
	flags.StringVar(&endpoint, "endpoint", "", "`URL` of the console (default $"+envConsole+", else http://"+defaultConsole+")")
	outputFlag(c, &output)
	return c
}

func readDocument(file string, stdin io.Reader) (*detect.Document, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		r = f
	}
	var d detect.Document
	if err := json.NewDecoder(io.LimitReader(r, maxDocument)).Decode(&d); err != nil || d.Schema == "" {
		if err == nil {
			err = errors.New("it names no schema")
		}
		return nil, fmt.Errorf("--file %s is no evidence document: %w", file, err)
	}
	return &d, nil
}

func fetchDocument(ctx context.Context, endpoint, id string) (*detect.Document, error) {
	client, err := newConsoleClient(endpoint)
	if err != nil {
		return nil, err
	}
	var d detect.Document
	if err := client.get(ctx, "/api/v1/deployments/"+url.PathEscape(id)+"/evidence", nil, &d); err != nil {
		return nil, err
	}
	if d.Schema == "" {
		return nil, errors.New("the answer is no evidence document; is the port right?")
	}
	return &d, nil
}

// explain prints a document with its recomputation; the error holds the exit code.
func explain(w io.Writer, d *detect.Document, output string) error {
	r := d.Recompute()
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(struct {
			Recomputation detect.Recomputation `json:"recomputation"`
			Document      *detect.Document     `json:"document"`
		}{r, d}); err != nil {
			return err
		}
	} else if err := printExplanation(w, terminal.NewPainter(w), d, &r); err != nil {
		return err
	}
	switch {
	case len(r.Problems) > 0:
		return exitError{code: exitDisagrees}
	case !r.Conclusive:
		return exitError{code: exitUntold}
	}
	return nil
}
