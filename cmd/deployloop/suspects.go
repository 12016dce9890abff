package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/sourcemap"
	"github.com/deployloop/deployloop/internal/suspect"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// suspectsFlags are the command's flags.
type suspectsFlags struct {
	repository, revisions, symptom, candidates, sourceMaps, output string
	paths, prefixes                                                []string
	limit, top                                                     int
	threshold                                                      float64
}

// newSuspectsCommand ranks the commits of a range for what was seen, offline.
func newSuspectsCommand() *cobra.Command {
	var f suspectsFlags
	c := &cobra.Command{
		Use:   "suspects (--repo PATH --range A..B --symptom FILE | --candidates FILE)",
		Short: "Rank the commits of a range for a stack trace, a log excerpt or failing tests",
		Long: `Rank the commits of a range by how well what each changed explains a symptom:
a stack trace, an excerpt of a log, names of failing tests. Each suspect comes
with its probability and its reasons; when none is certain enough to be named,
that is said, and the ranking is shown all the same.`,
		Example: `  deployloop suspects --repo . --range v1.41.3..v1.42.0 --symptom trace.txt
  kubectl logs deploy/checkout | deployloop suspects --repo . --range HEAD~20..HEAD --symptom -
  deployloop suspects --candidates case.json --output json`,
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c.Context(), c.InOrStdin(), c.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.repository, "repo", "", "local clone to read the commits from: a `path`")
	flags.StringVar(&f.revisions, "range", "", "the commits in B and not in A, as `A..B`")
	flags.StringVar(&f.symptom, "symptom", "", "`file` with a stack trace, a log excerpt or failing tests; - is standard input")
	flags.StringVar(&f.candidates, "candidates", "", "`file` with one JSON object of stack_trace, failing_tests and candidates, newest first; - is standard input")
	flags.StringSliceVar(&f.paths, "path", nil, "only commits that touch this `glob` of the repository; repeat for more")
	flags.StringSliceVar(&f.prefixes, "path-prefix", nil, "`folder` of the service in the repository, when traces tell paths without it; repeat for more")
	flags.StringVar(&f.sourceMaps, "source-maps", "", "`folder` of the source maps of bundled JavaScript, laid out as the bundles are served (assets/app.js.map)")
	flags.IntVar(&f.limit, "max-commits", 5000, "rank at most this `number` of commits, the newest")
	flags.IntVar(&f.top, "top", 3, "print this `number` of suspects (text output; json holds the whole ranking)")
	flags.Float64Var(&f.threshold, "threshold", suspect.DefaultThreshold, "name no commit below this `probability`")
	outputFlag(c, &f.output)
	return c
}

// suspectsOutput is the one object that --output json prints.
type suspectsOutput struct {
	Suspects  []suspectOutput `json:"suspects"` // the whole ranking, most probable first
	Abstained bool            `json:"abstained"`
	Threshold float64         `json:"threshold"`
	Commits   int             `json:"commits"`
	Range     string          `json:"range,omitempty"`
	RangeNote string          `json:"range_note,omitempty"`
}

type suspectOutput struct {
	SHA         string   `json:"sha"`
	Probability float64  `json:"probability"`
	Reasons     []string `json:"reasons"`
	Subject     string   `json:"subject,omitempty"`
	Author      string   `json:"author,omitempty"`
	File        string   `json:"file,omitempty"`
	Line        int      `json:"line,omitempty"`
	Hunk        string   `json:"hunk,omitempty"`
	Owners      []string `json:"owners,omitempty"`
	URL         string   `json:"url,omitempty"`
	PullURL     string   `json:"pull_url,omitempty"`
}

func (f *suspectsFlags) run(ctx context.Context, in io.Reader, out io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := f.validate(); err != nil {
		return err
	}
	options := suspect.Options{PathPrefixes: f.prefixes, Threshold: f.threshold}
	if f.sourceMaps != "" {
		maps, err := sourcemap.Open(f.sourceMaps)
		if err != nil {
			return fmt.Errorf("--source-maps: %w", err)
		}
		defer func() { _ = maps.Close() }()
		options.Source = maps.Frame
	}
	var ranking event.Suspicion
	if f.candidates != "" {
		var symptom suspect.Symptom
		var commits []suspect.Commit
		err := readFile(f.candidates, in, func(r io.Reader) (err error) {
			symptom, commits, err = suspect.ReadCase(r)
			return err
		})
		if err != nil {
			return fmt.Errorf("--candidates %s: %w", f.candidates, err)
		}
		if f.symptom != "" {
			if symptom, err = f.readSymptom(in); err != nil {
				return err
			}
		}
		ranking = suspect.Rank(symptom, commits, options)
	} else {
		symptom, err := f.readSymptom(in)
		if err != nil {
			return err
		}
		previous, new, _ := strings.Cut(f.revisions, "..")
		repository, err := gitrange.Open(f.repository)
		if err != nil {
			return fmt.Errorf("--repo: %w", err)
		}
		got, err := repository.Range(ctx, previous, new, gitrange.Options{Paths: f.paths, MaxCommits: f.limit})
		if err != nil {
			return fmt.Errorf("--range %s: %w", f.revisions, err)
		}
		// The loop makes do with the last commits; whoever types a range means that one.
		if got.Previous == "" && previous != "" {
			return fmt.Errorf("--range %s: %q: %w", f.revisions, previous, gitrange.ErrUnknownRevision)
		}
		options.Ignored = repository.IgnoredRevisions(ctx, got.New)
		options.Owners = repository.Owners(ctx, got.New).Of
		ranking = suspect.Rank(symptom, got.Commits, options)
		ranking.Range = f.revisions
		ranking.RangeNote = got.Note
	}
	if f.output == "json" {
		return f.printJSON(out, ranking)
	}
	return f.printText(out, ranking)
}

func (f *suspectsFlags) validate() error {
	switch {
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("--output %q: use text or json", f.output)
	case f.threshold <= 0 || f.threshold > 1:
		return fmt.Errorf("--threshold %v: use a probability above 0 and up to 1", f.threshold)
	case f.top < 1 || f.limit < 1:
		return errors.New("--top and --max-commits: use 1 or more")
	case f.candidates != "" && (f.repository != "" || f.revisions != ""):
		return errors.New("--candidates brings its own commits: leave --repo and --range out")
	case f.candidates == "-" && f.symptom == "-":
		return errors.New("standard input can be read once: give --candidates or --symptom as a file")
	case f.candidates != "":
		return nil
	case f.repository == "" || f.revisions == "" || f.symptom == "":
		return errors.New("give --repo, --range and --symptom, or --candidates (see deployloop suspects --help)")
	case strings.Contains(f.revisions, "...") || strings.Count(f.revisions, "..") != 1 || strings.HasSuffix(f.revisions, ".."):
		return fmt.Errorf("--range %q: write it as A..B (previous..new)", f.revisions)
	}
	return nil
}

func (f *suspectsFlags) readSymptom(in io.Reader) (s suspect.Symptom, err error) {
	err = readFile(f.symptom, in, func(r io.Reader) (err error) {
		s, err = suspect.ReadSymptom(r)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("--symptom %s: %w", f.symptom, err)
	}
	return s, nil
}

func readFile(name string, in io.Reader, read func(io.Reader) error) error {
	if name == "-" {
		return read(in)
	}
	file, err := os.Open(name)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return path.Err // the name is in the message already
		}
		return err
	}
	defer file.Close()
	return read(file)
}

func (f *suspectsFlags) printJSON(out io.Writer, r event.Suspicion) error {
	result := suspectsOutput{Suspects: []suspectOutput{}, Abstained: r.Abstained, Threshold: f.threshold, Commits: r.Commits, Range: r.Range, RangeNote: r.RangeNote}
	for _, s := range r.Suspects {
		reasons := s.Reasons
		if reasons == nil {
			reasons = []string{}
		}
		result.Suspects = append(result.Suspects, suspectOutput{s.Change.Revision, s.Probability, reasons, subject(s.Change), s.Change.Author, s.File, s.Line, s.Hunk, s.Owners, s.Change.URL, s.Change.PullURL})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

func (f *suspectsFlags) printText(out io.Writer, r event.Suspicion) error {
	var b strings.Builder
	p := terminal.NewPainter(out)
	switch {
	case len(r.Suspects) == 0:
		b.WriteString("No commit lies in this range: nothing to suspect.\n")
	case r.Abstained:
		fmt.Fprintf(&b, "%s None of %s reaches %.0f%%. The most likely:\n", p.Warn("No commit is certain."), howMany(r.Commits, "commit"), 100*f.threshold)
	default:
		s := r.Suspects[0]
		fmt.Fprintf(&b, "%s %s %s (%.0f%%), of %s.\n", p.Bad("Suspect:"), p.Bold(event.ShortRevision(s.Change.Revision)), printable(subject(s.Change)), 100*s.Probability, howMany(r.Commits, "commit"))
	}
	for i, s := range r.Suspects {
		if i >= f.top {
			fmt.Fprintf(&b, "\n%d more: --top %d shows them, --output json holds all.\n", len(r.Suspects)-i, len(r.Suspects))
			break
		}
		fmt.Fprintf(&b, "\n%2d. %s  %3.0f%%  %s", i+1, p.Bold(event.ShortRevision(s.Change.Revision)), 100*s.Probability, printable(subject(s.Change)))
		if s.Change.Author != "" {
			fmt.Fprintf(&b, " (%s)", printable(s.Change.Author))
		}
		if len(s.Owners) > 0 {
			fmt.Fprintf(&b, ", owned by %s", printable(strings.Join(s.Owners, ", ")))
		}
		b.WriteByte('\n')
		if s.Change.PullURL != "" {
			fmt.Fprintf(&b, "      %s\n", printable(s.Change.PullURL))
		}
		for _, reason := range s.Reasons {
			fmt.Fprintf(&b, "      - %s\n", printable(reason))
		}
		if i == 0 && s.Hunk != "" {
			fmt.Fprintf(&b, "      %s\n", p.Dim(printable(fmt.Sprintf("%s:%d", s.File, s.Line))))
			for n, line := range strings.Split(strings.TrimRight(s.Hunk, "\n"), "\n") {
				if n == 16 {
					b.WriteString("      …\n")
					break
				}
				fmt.Fprintf(&b, "      %s\n", paintDiff(p, printable(line)))
			}
		}
	}
	if r.RangeNote != "" {
		fmt.Fprintf(&b, "\nNote: %s.\n", printable(r.RangeNote))
	}
	if len(r.Suspects) > 0 && !r.Abstained {
		fmt.Fprintf(&b, "\nTo take it back: %s\n", wording.FixForward(&r))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func paintDiff(p terminal.Painter, line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return p.Good(line)
	case strings.HasPrefix(line, "-"):
		return p.Bad(line)
	case strings.HasPrefix(line, "@"):
		return p.Dim(line)
	}
	return line
}

func subject(c event.Change) string {
	line, _, _ := strings.Cut(c.Message, "\n")
	return line
}

// printable keeps text from outside from steering the terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}
