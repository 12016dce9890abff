// Command cost measures what detection costs, and writes docs/cost.md: the
// benchmarks of the engine and of the connector, the heap that indicators take,
// and the processor time of the whole collector with and without the connector,
// under the same load in the same run. Times are processor time, so that other
// programs on the machine change them little.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "", "file to write (default: standard output)")
	rounds := flag.Int("rounds", 5, "rounds of the whole collector, each with and without the connector")
	batches := flag.Int("batches", 400, "batches of a thousand spans and a thousand log lines a round")
	flag.Parse()
	began := time.Now()
	if err := run(context.Background(), *out, *rounds, *batches); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "cost: done in %s\n", time.Since(began).Round(time.Second))
}

func run(ctx context.Context, out string, rounds, batches int) error {
	engine, err := benchmarks(ctx, "./internal/detect", "Update|Tick|Memory|Span|Line")
	if err != nil {
		return err
	}
	connector, err := benchmarks(ctx, "./connector/anomalyconnector", ".")
	if err != nil {
		return err
	}
	c, err := collectors(ctx, rounds, batches)
	if err != nil {
		return err
	}
	text, err := report(engine, connector, c)
	if err != nil {
		return err
	}
	if out == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(out, []byte(text), 0o644)
}

// measured are a benchmark's values by unit.
type measured map[string]float64

var nameOf = regexp.MustCompile(`^Benchmark(\S+?)(-\d+)?$`)

// benchmarks runs the benchmarks of a package on one core each, by name.
func benchmarks(ctx context.Context, folder, pattern string) (map[string]measured, error) {
	fmt.Fprintln(os.Stderr, "cost: benchmarks of", folder)
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-benchtime", "500ms", "-timeout", "20m", folder)
	var text, errs bytes.Buffer
	c.Stdout, c.Stderr = &text, &errs
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", folder, err, text.Bytes(), errs.Bytes())
	}
	return parse(&text), nil
}

func parse(text *bytes.Buffer) map[string]measured {
	out := map[string]measured{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		name := nameOf.FindStringSubmatch(fields[0])
		if name == nil {
			continue
		}
		m := measured{}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				m[fields[i+1]] = v
			}
		}
		out[name[1]] = m
	}
	return out
}

// row is one line of the table: what a target asks and what was measured.
type row struct {
	what, target string
	value        float64
	text         string
	met          func(float64) bool // nil: no target
}

func atMost(limit float64) func(float64) bool { return func(v float64) bool { return v <= limit } }

func report(engine, connector map[string]measured, c compared) (string, error) {
	missing := ""
	get := func(from map[string]measured, name, unit string) float64 {
		v, ok := from[name][unit]
		if !ok {
			missing = name + " " + unit
		}
		return v
	}
	ns := func(from map[string]measured, name string) float64 { return get(from, name, "cpu-ns/op") }
	million := get(engine, "Tick/1000000/busy", "MiB") / get(engine, "Tick/1000000/busy", "indicators") * 1e6
	rows := []row{
		update("one update of an open indicator, the dearest, a second with events", ns(engine, "Update/events")),
		update("the same, a second without", ns(engine, "Update/quiet")),
		update("one without a record and a test for the better, as most are, a second with events", ns(engine, "Update/plain-events")),
		update("the same, a second without", ns(engine, "Update/plain-quiet")),
		rate("one span counted by the engine", "≥ 2,000,000/s", ns(engine, "Span"), 2e6),
		rate("one log line counted by the engine", "≥ 500,000/s", ns(engine, "Line"), 5e5),
		rate("one span read by the connector, as an SDK sends it", "", ns(connector, "Span"), 0),
		rate("one failed span with an exception and its stack", "", ns(connector, "FailedSpanWithException"), 0),
		rate("one log line masked, grouped and counted by the connector", "≥ 500,000/s", ns(connector, "LogRecord"), 5e5),
		rate("one histogram point read by the connector", "", ns(connector, "HistogramPoint"), 0),
		tick("one tick, every indicator spoken to", engine["Tick/100000/busy"]),
		tick("one tick, none spoken to", engine["Tick/100000/quiet"]),
		tick("one tick, every indicator spoken to", engine["Tick/1000000/busy"]),
		tick("one tick, none spoken to", engine["Tick/1000000/quiet"]),
		{what: "heap of an idle indicator", target: "≤ 512 B", value: get(engine, "Memory/idle", "B/indicator"), met: atMost(512)},
		{what: "heap that a watch adds, an open indicator", target: "≤ 256 B", value: get(engine, "Memory/open", "B/indicator"), met: atMost(256)},
		{what: "that, and the new version's instances", value: get(engine, "Memory/both", "B/indicator")},
		{what: "the same after a minute under watch, by then healthy", value: get(engine, "Memory/minute", "B/indicator")},
		{what: "heap of a million idle indicators", target: "≤ 1 GiB", value: get(engine, "Memory/idle", "B/indicator") * 1e6 / (1 << 20), text: "%.0f MiB", met: atMost(1024)},
		{what: "heap of a million open indicators, all under watch at once", target: "≤ 1 GiB", value: million, text: "%.0f MiB", met: atMost(1024)},
		{what: "processor time of the whole collector, with the connector beside without", target: "≤ 1.25 ×", value: c.ratio(), text: "%.2f ×", met: atMost(1.25)},
	}
	if missing != "" {
		return "", fmt.Errorf("a benchmark told no %s", missing)
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Cost")
	p("")
	p("Written by `make cost`; every number comes from that run, on %s with %d cores, %s. Times are processor time of the process, garbage collection included, so that other programs on the machine change them little; a rate is what one core does in a second.", cpuModel(), runtime.NumCPU(), runtime.Version())
	p("")
	p("An *indicator* is one pair of counts: the errors of an operation, its latency at one of some six bounds, an exception. The engine under a tick holds services of %d operations and %d exceptions each, two instances a service.", 20, 60)
	p("")
	p("| what | target | measured | met |")
	p("|---|---|---|---|")
	for _, r := range rows {
		text, met := r.text, ""
		if text == "" {
			text = "%.0f B"
		}
		if r.met != nil {
			met = "yes"
			if !r.met(r.value) {
				met = "**no**"
			}
		}
		if strings.Contains(text, "%") {
			text = fmt.Sprintf(text, r.value)
		}
		p("| %s | %s | %s | %s |", r.what, r.target, text, met)
	}
	p("")
	p("## The whole collector")
	p("")
	p("`otlp` → `otlp_http`, spans and log lines; the second collector has `deploy_marker`, `anomaly` and the ledger in the same pipelines. %d rounds in turns, each the same %s spans and %s log lines to both. Microseconds of processor time an item:", len(c.without), count(c.items/2), count(c.items/2))
	p("")
	p("| round | without | with | ratio |")
	p("|---|---|---|---|")
	for i := range c.without {
		p("| %d | %.2f µs | %.2f µs | %.2f |", i+1, 1e6*c.without[i]/float64(c.items), 1e6*c.with[i]/float64(c.items), c.with[i]/c.without[i])
	}
	p("")
	p("The ratio above is that of the sums.")
	p("")
	b.WriteString(why)
	return b.String(), nil
}

// why says what stands behind the lines that fall short.
const why = `## What falls short, and why

An open indicator that saw events keeps 360 B of its own: the mixture over starts of its eight ratios, and for four of them where the change may have begun, what was counted since and the onset's confidence set (256 B); its sums, its control's and the bounds of that one's rate (104 B). One that saw none keeps the last alone. The indicator that it is a level of comes to it (88 B; of latency, for some six of them), and what a watch keeps for all: the new version's history, so that it can become the new normal, and what is told of the spread between instances. After a minute nearly every indicator of this fleet saw an event, a healthy version's history stands beside the old one's, and some 8,000 levels in all have their record for ` + "`explain`" + `, which a fleet of a million hardly notices. Two or three onsets instead of four were tried (208 and 160 B for 256): a heavy item, or a small harm over hours, is then got over late or not at all. 256 B for all of that would need the onset to be searched anew from stored seconds when there is evidence. All services at once under watch is not what a collector meets: ` + "`limits::watches`" + ` is 500, and ` + "`limits::memory_mib`" + ` bounds what they take.

An update of the dearest indicator (errors of an operation, with its record for ` + "`explain`" + ` and its test for the better) is eight likelihood ratios by multiplication, four logarithms and four onsets for harm (a third of its time); eight logarithms for the better (a fifth); one step of the record, of which every twenty-fourth thins it (a fifth); and, once a second, its weight in the deployment's evidence: a logarithm and φ (a quarter). A second without events has neither ratios nor logarithms of them. Most indicators have no record and no test for the better. What is left is arithmetic of doubles in sequence; 150 ns would need it four at a time.
`

// update is what one second of an open indicator costs.
func update(what string, ns float64) row {
	return row{what: what, target: "≤ 150 ns", value: ns, text: "%.0f ns", met: atMost(150)}
}

func rate(what, target string, ns, least float64) row {
	r := row{what: what, target: target, value: ns, text: fmt.Sprintf("%.0f ns, %s/s", ns, count(int(1e9/ns)))}
	if least > 0 {
		r.met = func(v float64) bool { return 1e9/v >= least }
	}
	return r
}

func tick(what string, m measured) row {
	return row{what: fmt.Sprintf("%s (%s indicators)", what, count(int(m["indicators"]))),
		text: fmt.Sprintf("%.0f ms, %.0f ns an indicator", m["cpu-ns/op"]/1e6, m["cpu-ns/indicator"])}
}

// count writes a number with separators.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func cpuModel() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Join(strings.Fields(strings.TrimLeft(name, "\t :")), " ")
		}
	}
	return runtime.GOARCH
}
