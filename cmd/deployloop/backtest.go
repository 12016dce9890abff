package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/internal/backtest"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
)

// backtestFlags are the command's flags.
type backtestFlags struct {
	telemetry               []string
	deploys, config, output string
	evidence                string // folder
	progress                bool
	memory                  int // MiB
	history                 historyFlags
}

// newBacktestCommand plays recorded telemetry through the detector.
func newBacktestCommand() *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{
		Use:   "backtest {--telemetry FILE [FILE...] | --prometheus URL}",
		Short: "Judge deployments in recorded telemetry",
		Long: `Play recorded telemetry through the same engine that runs live, on the clock of
the telemetry itself, as fast as the machine allows.

Telemetry is OTLP JSON, one request a line, as the Collector's file exporter
writes it: traces, metrics and logs in any mix, plain, .gz, .zst or packed by
the exporter itself (compression: zstd), "-" for standard input. It is put in
order of event time first, so the order and the split of the files do not matter
(of files split between bytes their order does), and the same input gives the
same bytes. Lines that are none are named and left out, and a compressed file
that was cut short is read as far as it goes.

--prometheus reads the history that a Prometheus (or what speaks its API) holds
instead, or beside files: the duration histograms of OpenTelemetry's HTTP, RPC
and messaging conventions and of span_metrics, or the metrics that --series
names. Labels that name the service and its version are found by their usual
names, in target_info too; --label tells others.

Deployments are inferred from the first telemetry of a new version, or told by
--deploys: one JSON object a line with service, environment, revision,
previous_revision, version, previous_version, started_at, finished_at (RFC 3339)
and, optionally, id and instances. A given id is the deployment's id in the
output. A key that is like one of these but none is an error, another one is
named and passed over.

With --output json each line is an object whose type is verdict or anomaly; the
last line of each deployment (final: true) is its last verdict; one that was
undecided when the recording ended is inconclusive. With --evidence
each deployment's evidence document is written too, for deployloop explain.`,
		Example: `  deployloop backtest --telemetry traces.jsonl logs.jsonl.gz
  deployloop backtest --telemetry telemetry.jsonl --deploys deploys.jsonl --output json
  zstd -dc archive/*.zst | deployloop backtest --telemetry - --config collector.yaml
  deployloop backtest --prometheus http://localhost:9090 --since 30d
  deployloop backtest --prometheus https://metrics.example.com --token-file token --since 7d \
      --series 'http_request_duration_seconds{namespace="shop"}' --label version=image_tag`,
		SilenceUsage: true,
		RunE: func(c *cobra.Command, args []string) error {
			f.telemetry = append(f.telemetry, args...)
			return f.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.telemetry, "telemetry", nil, "OTLP JSON lines: a `file`, or - for standard input; repeat for more")
	f.history.register(flags)
	flags.StringVar(&f.deploys, "deploys", "", "`file` with the deployments, one JSON object a line (default: infer them)")
	flags.StringVar(&f.config, "config", "", "`file` with the anomaly connector's settings, alone or in a Collector's configuration")
	outputFlag(c, &f.output)
	flags.StringVar(&f.evidence, "evidence", "", "`folder` for what each verdict stands on, a document a deployment (deployloop explain --file reads one)")
	flags.BoolVar(&f.progress, "progress", false, "tell the progress each second where standard error is no terminal (default: every 10 s)")
	flags.IntVar(&f.memory, "memory", 512, "`MiB` of telemetry to sort in memory; more is sorted in temporary files")
	return c
}

func (f *backtestFlags) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(f.telemetry) == 0 && f.history.url == "" {
		return errors.New("nothing to play: name files by --telemetry (- is standard input), or a server by --prometheus")
	}
	if f.output != "text" && f.output != "json" {
		return fmt.Errorf("--output %s: use text or json", f.output)
	}
	if f.memory < 1 {
		return fmt.Errorf("--memory %d: use at least 1", f.memory)
	}
	config, err := detectorConfig(ctx, f.config)
	if err != nil {
		return err
	}
	var options backtest.Options
	if f.deploys != "" {
		var unknown []string
		if options.Deploys, unknown, err = readDeploys(f.deploys); err != nil {
			return fmt.Errorf("--deploys %s: %w", f.deploys, err)
		}
		for _, x := range unknown {
			fmt.Fprintf(stderr, "warning: --deploys %s: %s\n", f.deploys, plain(x))
		}
	}
	meter := newProgressMeter(stderr, f.progress)
	history, err := f.history.open(time.Now(), meter)
	if err != nil {
		return err
	}
	input, err := backtest.Read(ctx, f.telemetry, stdin, f.memory<<20, meter.read)
	if err != nil {
		return err
	}
	defer input.Close()
	if history != nil {
		if err := history.Read(ctx, input.Add); err != nil {
			return fmt.Errorf("--prometheus: %w", err)
		}
	}

	buffered := bufio.NewWriterSize(stdout, 64<<10)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	var final []backtest.Line
	var apart []backtest.Line // anomalies without a deployment, as they were told last
	options.Progress = meter.played
	options.Emit = func(l backtest.Line) error {
		if l.Final {
			final = append(final, l)
		}
		if l.Anomaly != nil && l.Deployment.ID == "" {
			apart = slices.DeleteFunc(apart, func(x backtest.Line) bool { return x.Anomaly.ID == l.Anomaly.ID })
			apart = append(apart, l)
		}
		if f.output == "json" {
			return encoder.Encode(l)
		}
		return nil
	}
	var replay *anomalyconnector.Replay
	err = input.Play(ctx, func(start time.Time) backtest.Detector {
		meter.from = start
		replay = anomalyconnector.NewReplay(config, start, f.deploys == "", zap.NewNop())
		return replay
	}, options)
	meter.end(input)
	if replay != nil {
		defer replay.Close()
	}
	if err != nil {
		return err
	}
	if f.output == "text" {
		paint := terminal.NewPainter(stdout)
		printBacktest(buffered, paint, final)
		printApart(buffered, paint, apart)
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	warnSkipped(stderr, input.Skipped, replay.Losses())
	return f.writeEvidence(replay, final)
}

// writeEvidence writes what each verdict stands on.
func (f *backtestFlags) writeEvidence(replay *anomalyconnector.Replay, final []backtest.Line) error {
	if f.evidence == "" {
		return nil
	}
	if err := os.MkdirAll(f.evidence, 0o755); err != nil {
		return fmt.Errorf("--evidence: %w", err)
	}
	for _, l := range final {
		document, ok := replay.Document(cmp.Or(l.Deployment.Ledger, l.Deployment.ID))
		if !ok {
			continue // it was not watched, as its verdict says
		}
		told := *document
		told.Deployment.ID = l.Deployment.ID
		text, err := json.MarshalIndent(told, "", " ")
		if err == nil {
			err = os.WriteFile(filepath.Join(f.evidence, url.PathEscape(l.Deployment.ID)+".json"), append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("--evidence: %w", err)
		}
	}
	return nil
}

// detectorConfig reads the connector's settings from a file: the settings
// themselves, or a Collector's configuration that holds them.
func detectorConfig(ctx context.Context, file string) (*anomalyconnector.Config, error) {
	config := anomalyconnector.NewFactory().CreateDefaultConfig().(*anomalyconnector.Config)
	if file == "" {
		return config, nil
	}
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{URIs: []string{"file:" + file}, ProviderFactories: manifestProviders()})
	if err != nil {
		return nil, err
	}
	conf, err := resolver.Resolve(ctx)
	if err == nil {
		err = resolver.Shutdown(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, err)
	}
	if conf.IsSet("connectors") {
		if conf, err = connectorSettings(conf); err != nil {
			return nil, fmt.Errorf("--config %s: %w", file, err)
		}
	}
	if err := conf.Unmarshal(config); err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, err)
	}
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, err)
	}
	return config, nil
}

// connectorSettings finds the one anomaly connector of a Collector's configuration.
func connectorSettings(conf *confmap.Conf) (*confmap.Conf, error) {
	all, err := conf.Sub("connectors")
	if err != nil {
		return nil, err
	}
	var found []string
	for name := range all.ToStringMap() {
		if name == "anomaly" || strings.HasPrefix(name, "anomaly/") {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("it holds %d connectors of type anomaly; exactly one is needed", len(found))
	}
	return all.Sub(found[0])
}

func readDeploys(name string) (deploys []backtest.Deploy, unknown []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return backtest.ReadDeploys(f)
}

// printBacktest prints the last verdicts as a table.
func printBacktest(w io.Writer, paint terminal.Painter, final []backtest.Line) {
	if len(final) == 0 {
		fmt.Fprintln(w, "no deployment in this telemetry: no service of it went to another service.version or vcs.ref.head.revision, and --deploys names none")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STARTED\tSERVICE\tENVIRONMENT\tVERSION\tVERDICT\tEVIDENCE\tONSET\tWHY")
	for _, l := range final {
		version := l.Deployment.Version
		if version == "" {
			version = event.ShortRevision(l.Deployment.Revision)
		}
		onset := "-"
		if l.Onset != nil {
			onset = l.Onset.Format(time.TimeOnly)
		}
		state := l.Verdict
		switch event.VerdictState(l.Verdict) {
		case event.Regressed:
			state = paint.Bad(state)
		case event.Healthy:
			state = paint.Good(state)
		case event.Inconclusive:
			state = paint.Warn(state)
		default:
			state = paint.Dim(state)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%.1f of %.1f\t%s\t%s\n", l.Deployment.StartedAt.Format("2006-01-02 15:04:05"), plain(l.Deployment.Service),
			plain(l.Deployment.Environment), plain(version), state, math.Max(l.Nats, 0), l.Threshold, onset, plain(l.Detail))
	}
	table.Flush()
}

// printApart prints what got worse without a deployment.
func printApart(w io.Writer, paint terminal.Painter, apart []backtest.Line) {
	if len(apart) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", paint.Bold("Without a deployment"))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BEGAN\tENDED\tSERVICE\tENVIRONMENT\tWHAT")
	for _, l := range apart {
		ended := "-"
		if c := l.Anomaly.Closure; c != nil {
			ended = fmt.Sprintf("%s, %s", c.At.Format(time.TimeOnly), strings.ReplaceAll(plain(string(c.Reason)), "_", " "))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", l.Anomaly.StartsAt.Format("2006-01-02 15:04:05"), ended, plain(l.Deployment.Service),
			plain(l.Deployment.Environment), plain(l.Detail))
	}
	table.Flush()
}

// plain keeps text from outside from steering the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// warnSkipped says what of the input did not count.
func warnSkipped(w io.Writer, s backtest.Skipped, losses []event.Loss) {
	for _, x := range s.Cut {
		fmt.Fprintf(w, "warning: cut short: %s; what it holds till there was read\n", plain(x))
	}
	if s.Lines > 0 {
		fmt.Fprintf(w, "warning: left out %s, no OTLP JSON:\n", howMany(int(s.Lines), "line"))
		for _, x := range s.Named {
			fmt.Fprintf(w, "  %s\n", plain(x))
		}
		if more := int(s.Lines) - len(s.Named); more > 0 {
			fmt.Fprintf(w, "  and %s more\n", howMany(more, "line"))
		}
	}
	if s.Unit != "" {
		fmt.Fprintf(w, "warning: all of it is dated long ago: %s\n", plain(s.Unit))
	}
	if s.Days > 0 {
		fmt.Fprintln(w, "warning: left out what is dated far from the rest, by a clock that was not set or in another unit:")
		for _, x := range s.Astray {
			fmt.Fprintf(w, "  %s\n", plain(x))
		}
		if more := s.Days - len(s.Astray); more > 0 {
			fmt.Fprintf(w, "  and %s more\n", howMany(more, "day"))
		}
	}
	if s.Untimed > 0 {
		fmt.Fprintf(w, "warning: left out %s without an event time\n", howMany(int(s.Untimed), "item"))
	}
	for _, l := range losses {
		fmt.Fprintf(w, "note: %s\n", loss(l))
	}
}

// progressMeter tells a person how far it is: on a terminal in place, elsewhere
// a line now and then.
type progressMeter struct {
	w     io.Writer
	live  bool // in place
	every time.Duration
	last  time.Time
	began time.Time
	// from and to are the event times that were played.
	from, to time.Time
}

func newProgressMeter(w io.Writer, often bool) *progressMeter {
	p := &progressMeter{w: w, live: terminal.IsTerminal(w), every: 10 * time.Second, began: time.Now()}
	p.last = p.began
	switch {
	case p.live:
		p.every = 200 * time.Millisecond
	case often:
		p.every = time.Second
	}
	return p
}

func (p *progressMeter) tell(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last = now
		p.line(format, args...)
		if !p.live {
			fmt.Fprintln(p.w)
		}
	}
}

// line writes over what stands on a terminal's line.
func (p *progressMeter) line(format string, args ...any) {
	if p.live {
		format = "\r\x1b[K" + format
	}
	fmt.Fprintf(p.w, format, args...)
}

func (p *progressMeter) read(n uint64) { p.tell("reading: %d MiB", n>>20) }

func (p *progressMeter) played(at time.Time) {
	p.to = at
	p.tell("playing: %s", at.Format(time.RFC3339))
}

// end says what was played.
func (p *progressMeter) end(in *backtest.Input) {
	if p.from.IsZero() {
		p.line("")
		return
	}
	p.line("played %s to %s: %s, %.1f MiB, in %s\n", p.from.Format(time.RFC3339), p.to.Format(time.RFC3339), howMany(int(in.Lines), "line"), float64(in.Bytes)/(1<<20),
		time.Since(p.began).Round(10*time.Millisecond))
}
