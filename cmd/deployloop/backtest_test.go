package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/backtest"
)

// recording is five minutes of an old version and then two of a bad new one
// beside it, as the file exporter writes them: one request a line.
func recording() (lines []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	const begin = int64(1_700_000_000)
	for s := range int64(420) {
		for pod := range 4 {
			version, failing := "1", .01
			if pod == 3 {
				if s < 300 {
					continue
				}
				version, failing = "2", .3
			}
			var spans []string
			for range 10 {
				at := (begin+s)*1e9 + rng.Int64N(9e8)
				status := ""
				if rng.Float64() < failing {
					status = `"code":2,"message":"boom"`
				}
				spans = append(spans, fmt.Sprintf(`{"traceId":"%032x","spanId":"%016x","name":"POST /cart","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{%s}}`,
					rng.Uint64(), rng.Uint64(), at, at+5e7, status))
			}
			lines = append(lines, fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}},`+
				`{"key":"service.version","value":{"stringValue":"%s"}},{"key":"service.instance.id","value":{"stringValue":"pod-%d"}}]},"scopeSpans":[{"scope":{},"spans":[%s]}]}]}`,
				version, pod, strings.Join(spans, ",")))
		}
	}
	return lines
}

func write(t *testing.T, name string, lines []string) string {
	t.Helper()
	text := []byte(strings.Join(lines, "\n") + "\n")
	var packed bytes.Buffer
	switch filepath.Ext(name) {
	case ".gz":
		z := gzip.NewWriter(&packed)
		_, err := z.Write(text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
	case ".zst":
		z, err := zstd.NewWriter(&packed)
		require.NoError(t, err)
		_, err = z.Write(text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
	default:
		packed.Write(text)
	}
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
	return path
}

func runBacktest(t *testing.T, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	c := newBacktestCommand()
	var out, errs bytes.Buffer
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&errs)
	require.NoError(t, c.ExecuteContext(t.Context()))
	return out.String(), errs.String()
}

func decode(t *testing.T, text string) (out []backtest.Line) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var l backtest.Line
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		out = append(out, l)
	}
	return out
}

// The same input gives the same bytes, whatever the cores, the split into
// files, their order, their compression and the memory to sort in.
func TestBacktestIsDeterministic(t *testing.T) {
	lines := recording()
	whole := write(t, "all.jsonl", lines)
	want, _ := runBacktest(t, "", "--telemetry", whole, "--output", "json")
	got := decode(t, want)
	last := got[len(got)-1]
	require.True(t, last.Final)
	require.Equal(t, "regressed", last.Verdict)
	require.Equal(t, "2", last.Deployment.Version)
	require.Equal(t, "concurrent", last.Control)
	require.NotNil(t, last.Onset)
	require.InDelta(t, 1_700_000_300, last.Onset.Unix(), 3)
	require.NotEmpty(t, last.Evidence)
	require.GreaterOrEqual(t, last.Nats, last.Threshold)
	kinds := map[string]int{}
	for _, l := range got {
		kinds[l.Type]++
	}
	require.Positive(t, kinds["anomaly"])

	mixed := append([]string(nil), lines...)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	third := len(mixed) / 3
	a, b := write(t, "a.jsonl.gz", mixed[:third]), write(t, "b.jsonl.zst", mixed[third:2*third])
	rest := strings.Join(mixed[2*third:], "\n")
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	for cores := range 3 {
		runtime.GOMAXPROCS(cores + 1)
		other, _ := runBacktest(t, rest, "--telemetry", b, "--telemetry", a, "--output", "json", "--memory", "1", "-")
		require.Equal(t, want, other, "%d cores", cores+1)
	}
}

func TestBacktestWithDeploys(t *testing.T) {
	deploys := write(t, "deploys.jsonl", []string{
		`{"id":"mine","service":"checkout","environment":"default","version":"2","previous_version":"1","started_at":"2023-11-14T22:18:00Z","finished_at":"2023-11-14T22:19:00Z"}`,
		`{"id":"later","service":"cart","version":"7","started_at":"2024-01-01T00:00:00Z"}`,
	})
	out, _ := runBacktest(t, "", "--telemetry", write(t, "all.jsonl", recording()), "--deploys", deploys, "--output", "json")
	final := map[string]backtest.Line{}
	for _, l := range decode(t, out) {
		require.False(t, final[l.Deployment.ID].Final, "nothing follows a deployment's last line")
		final[l.Deployment.ID] = l
	}
	require.Len(t, final, 2)
	require.Equal(t, "regressed", final["mine"].Verdict)
	require.NotEmpty(t, final["mine"].Deployment.Ledger)
	require.Equal(t, "inconclusive", final["later"].Verdict)
	require.Equal(t, "no_data", final["later"].Reason)
	require.True(t, final["later"].Final)
}

// Where the recording ends before the watch, the last verdict says so, and
// where a service speaks in another environment than the file names, that.
func TestBacktestSaysThatTheRecordingEnded(t *testing.T) {
	deploys := write(t, "deploys.jsonl", []string{
		`{"id":"here","service":"checkout","version":"2","previous_version":"1","started_at":"2023-11-14T22:18:20Z"}`,
		`{"id":"there","service":"checkout","environment":"production","version":"2","started_at":"2023-11-14T22:18:20Z"}`,
	})
	lines := recording()
	folder := t.TempDir()
	out, errs := runBacktest(t, "", "--telemetry", write(t, "all.jsonl", lines[:908]), "--deploys", deploys, "--evidence", folder, "--output", "json")
	final := map[string]map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l["final"] == true {
			final[l["deployment"].(map[string]any)["id"].(string)] = l
		}
	}
	require.Equal(t, "inconclusive", final["here"]["verdict"])
	require.Equal(t, "recording_ended", final["here"]["reason"])
	require.Contains(t, final["here"]["detail"], "the recording ended")
	require.Contains(t, final["here"]["detail"], "into a watch of 24h0m0s; ")
	require.Contains(t, final["there"]["detail"], "held no telemetry of the new version; checkout speaks in default, not in production")
	require.Contains(t, errs, "played 2023-11-14T22:13:20Z to 2023-11-14T22:18:23Z: 908 lines")
	document, err := readDocument(filepath.Join(folder, "here.json"), nil)
	require.NoError(t, err)
	require.EqualValues(t, "recording_ended", document.Verdict.Reason)
	r := document.Recompute()
	require.True(t, r.Agrees, "%v %v", r.Problems, r.Gaps)
	require.EqualValues(t, "inconclusive", r.State)
}

// What gets worse without a deployment names its service, in lines and in the table.
func TestBacktestTellsOfAnomaliesWithoutADeployment(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const begin = int64(1_700_000_000)
	var lines []string
	for s := range int64(2700) {
		for pod := range 2 {
			var spans []string
			for range 10 {
				at, status := (begin+s)*1e9+rng.Int64N(9e8), ""
				if rng.Float64() < .01 || s >= 1500 && s < 1700 && rng.Float64() < .4 {
					status = `"code":2`
				}
				spans = append(spans, fmt.Sprintf(`{"traceId":"%032x","spanId":"%016x","name":"GET /x","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{%s}}`,
					rng.Uint64(), rng.Uint64(), at, at+1e7, status))
			}
			lines = append(lines, fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}},`+
				`{"key":"service.instance.id","value":{"stringValue":"pod-%d"}}]},"scopeSpans":[{"spans":[%s]}]}]}`, pod, strings.Join(spans, ",")))
		}
	}
	path := write(t, "web.jsonl", lines)
	out, _ := runBacktest(t, "", path, "--output", "json")
	all := decode(t, out)
	require.NotEmpty(t, all)
	for _, l := range all {
		require.Equal(t, "anomaly", l.Type)
		require.Equal(t, "web", l.Deployment.Service)
		require.Equal(t, "default", l.Deployment.Environment)
		require.Empty(t, l.Deployment.ID)
	}
	require.NotContains(t, out, "0001-01-01")
	out, _ = runBacktest(t, "", path)
	require.Regexp(t, `(?s)no deployment in this telemetry.*Without a deployment\n.*22:38:2\d +\d\d:\d\d:\d\d, recovered +web +default +errors `, out)
}

// Each field that readers are promised is in every line.
func TestBacktestLinesHoldEveryField(t *testing.T) {
	out, _ := runBacktest(t, "", "--telemetry", write(t, "all.jsonl", recording()), "--output", "json")
	types := map[string]bool{}
	evidence := 0
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		types[l["type"].(string)] = true
		for _, name := range []string{"at", "deployment", "verdict", "calibrating", "nats", "threshold", "onset", "control", "evidence", "suspects"} {
			require.Contains(t, l, name, line)
		}
		for _, name := range []string{"id", "service", "environment", "revision"} {
			require.Contains(t, l["deployment"], name, line)
		}
		for _, e := range l["evidence"].([]any) {
			evidence++
			for _, name := range []string{"indicator", "operation", "before", "after", "ratio", "interval", "nats"} {
				require.Contains(t, e, name, line)
			}
		}
	}
	require.Equal(t, map[string]bool{"verdict": true, "anomaly": true}, types)
	require.Positive(t, evidence)
}

func TestBacktestTellsWhatItSkipped(t *testing.T) {
	lines := append(recording(), "not json", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`)
	lines = append(lines, "{\x1b[31m", "", "worse", "and worse", "the fifth", "the sixth")
	out, errs := runBacktest(t, "", "--telemetry", write(t, "all.jsonl", lines))
	require.Contains(t, out, "regressed")
	require.Contains(t, errs, "left out 6 lines, no OTLP JSON:\n")
	for _, k := range []int{7, 5, 3, 2, 1} {
		require.Contains(t, errs, fmt.Sprintf("all.jsonl:%d: ", len(lines)-k), errs)
	}
	require.Contains(t, errs, "and 1 line more")
	require.NotContains(t, errs, "\x1b")
	require.Contains(t, errs, "1 item without an event time")

	c := newBacktestCommand()
	c.SetArgs([]string{"--telemetry", write(t, "bad.jsonl", []string{"nothing"})})
	c.SetOut(&bytes.Buffer{})
	c.SetErr(&bytes.Buffer{})
	require.ErrorContains(t, c.ExecuteContext(t.Context()), "no line is OTLP JSON")
}

// A key of --deploys that is misspelt is an error; one that is another tool's is told.
func TestBacktestTellsOfUnknownKeys(t *testing.T) {
	const deploy = `{"service":"checkout","version":"2","started_at":"2023-11-14T22:18:00Z",`
	telemetry := write(t, "all.jsonl", append(recording()[:300], strings.ReplaceAll(recording()[0], `"endTimeUnixNano":"17`, `"endTimeUnixNano":"41`)))
	_, errs := runBacktest(t, "", telemetry, "--deploys", write(t, "deploys.jsonl", []string{deploy + `"pipeline\u001b":7}`}))
	require.Contains(t, errs, `deploys.jsonl: line 1: the key "pipeline\x1b" says nothing here; known are id, service,`)
	require.Contains(t, errs, "left out what is dated far from the rest, by a clock that was not set or in another unit:\n")
	require.Contains(t, errs, "all.jsonl:301: 2099-")
	c := newBacktestCommand()
	c.SetArgs([]string{telemetry, "--deploys", write(t, "deploys.jsonl", []string{deploy + `"previousVersion":"1"}`})})
	c.SetOut(&bytes.Buffer{})
	c.SetErr(&bytes.Buffer{})
	require.ErrorContains(t, c.ExecuteContext(t.Context()), `deploys.jsonl: line 1: no key is called "previousVersion"; write "previous_version"`)
}

func TestBacktestConfig(t *testing.T) {
	bare := write(t, "bare.yaml", []string{"watch: [1m]", "false_alarms_per_1000_deploys: 5"})
	config, err := detectorConfig(t.Context(), bare)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{time.Minute}, config.Watch)
	whole := write(t, "whole.yaml", []string{"connectors:", "  anomaly/live:", "    min_effect: {error_ratio: 0.01}"})
	config, err = detectorConfig(t.Context(), whole)
	require.NoError(t, err)
	require.Equal(t, .01, config.MinEffect.ErrorRatio)
	_, err = detectorConfig(t.Context(), write(t, "none.yaml", []string{"connectors: {forward: {}}"}))
	require.ErrorContains(t, err, "exactly one")
	_, err = detectorConfig(t.Context(), write(t, "bad.yaml", []string{"watch: []"}))
	require.ErrorContains(t, err, "watch")
}
