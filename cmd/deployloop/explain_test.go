package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/detect"
)

// runExplain gives what explain prints and its exit code.
func runExplain(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	c := newExplainCommand()
	var out bytes.Buffer
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(t.Context())
	var exit exitError
	if errors.As(err, &exit) {
		return out.String(), exit.code
	}
	if err != nil {
		return out.String() + err.Error(), 1
	}
	return out.String(), 0
}

// evidenceOfABacktest plays a bad deployment and gives its document.
func evidenceOfABacktest(t *testing.T) (path string, text []byte) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "evidence")
	deploys := write(t, "deploys.jsonl", []string{`{"id":"team/42","service":"checkout","version":"2","previous_version":"1","started_at":"2023-11-14T22:18:20Z"}`})
	runBacktest(t, "", "--evidence", folder, "--deploys", deploys, write(t, "traces.jsonl", recording()))
	path = filepath.Join(folder, "team%2F42.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return path, text
}

func TestExplainAgreesWithABacktest(t *testing.T) {
	path, text := evidenceOfABacktest(t)
	out, code := runExplain(t, "", "--file", path)
	require.Zero(t, code, out)
	for _, want := range []string{
		"checkout 2 in default: regressed", "What was compared", "concurrent: 3 instances of the old version", "How the evidence grew",
		"needed for regressed", "harm", "It agrees",
	} {
		assert.Contains(t, out, want)
	}
	assert.NotContains(t, out, "\x1b", "no colour outside a terminal")

	out, code = runExplain(t, string(text), "--file", "-", "--output", "json")
	require.Zero(t, code, out)
	var answer struct {
		Recomputation detect.Recomputation
		Document      detect.Document
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	assert.True(t, answer.Recomputation.Agrees)
	assert.InDelta(t, answer.Document.Verdict.Nats, answer.Recomputation.Nats, .01)
	assert.Equal(t, "team/42", answer.Document.Deployment.ID)
}

func TestExplainSeesThatCountsWereAltered(t *testing.T) {
	_, text := evidenceOfABacktest(t)
	var d detect.Document
	require.NoError(t, json.Unmarshal(text, &d))
	steps := d.Indicators[0].Levels[0].Steps
	steps[len(steps)-1].NewEvents /= 2
	altered, err := json.Marshal(d)
	require.NoError(t, err)
	out, code := runExplain(t, string(altered), "--file", "-")
	assert.Equal(t, exitDisagrees, code, out)
	assert.Contains(t, out, "It does not agree")

	require.NoError(t, json.Unmarshal(text, &d))
	d.Schema = "deployloop/evidence/99"
	altered, err = json.Marshal(d)
	require.NoError(t, err)
	out, code = runExplain(t, string(altered), "--file", "-")
	assert.Equal(t, exitUntold, code, out)

	for _, bad := range []string{"", "{}", "no json"} {
		_, code = runExplain(t, bad, "--file", "-")
		assert.Equal(t, 1, code)
	}
}

func TestExplainAsksTheConsole(t *testing.T) {
	_, text := evidenceOfABacktest(t)
	t.Setenv(envConsoleToken, "s3cret")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v1/deployments/team%2F42/evidence" || r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"there is no evidence","fix":"wait"}`))
			return
		}
		_, _ = w.Write(text)
	}))
	defer server.Close()
	out, code := runExplain(t, "", "team/42", "--endpoint", server.URL)
	require.Zero(t, code, out)
	assert.Contains(t, out, "It agrees")
	out, code = runExplain(t, "", "other", "--endpoint", server.URL)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "there is no evidence")
	_, code = runExplain(t, "")
	assert.Equal(t, 1, code, "neither an id nor a document")
}

// gauges is a recording of a service that tells of itself by gauges alone: an
// old version of three instances, and after forty minutes a new one of two,
// that replaces one whose name a recorder goes on writing its samples under.
func gauges() (lines []string) {
	rng := rand.New(rand.NewPCG(5, 6))
	for minute := range int64(70) {
		latest := 0.
		for _, pod := range []string{"1/a", "1/b", "2/x", "2/y", "1/c"} {
			version, name, _ := strings.Cut(pod, "/")
			ratio := .99 + .01*rng.Float64()
			switch {
			case version == "2" && minute < 40:
				continue
			case name == "y":
				latest = ratio
			case name == "c" && minute >= 40:
				ratio = latest
			}
			lines = append(lines, fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"ads"}},`+
				`{"key":"service.version","value":{"stringValue":"%s"}},{"key":"service.instance.id","value":{"stringValue":"%s"}}]},"scopeMetrics":[{"metrics":[`+
				`{"name":"edge.success_ratio","unit":"1","gauge":{"dataPoints":[{"timeUnixNano":"%d","asDouble":%v}]}}]}]}]}`,
				version, name, (1_700_000_000+60*minute)*1e9, ratio))
		}
	}
	return lines
}

// What has no data is said to have none, instances count whatever they send,
// what did not count is told in words, and a row of the growth says something new.
func TestExplainOfAServiceOfGauges(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "evidence")
	deploys := write(t, "deploys.jsonl", []string{`{"id":"ads","service":"ads","version":"2","previous_version":"1","started_at":"2023-11-14T22:53:20Z"}`})
	told, errs := runBacktest(t, "", "--evidence", folder, "--deploys", deploys, write(t, "gauges.jsonl", gauges()))
	require.Contains(t, told, "inconclusive")
	require.Contains(t, told, "the recording ended 29m")
	require.Contains(t, errs, "copied_series: ")
	require.Contains(t, errs, "goes on writing under the old name")
	out, code := runExplain(t, "", "--file", filepath.Join(folder, "ads.json"))
	require.Zero(t, code, out)
	require.Contains(t, out, "ads 2 in default: inconclusive")
	require.Regexp(t, `new +2, 2 instances`, out)
	require.Regexp(t, `(?m)^  errors +no data +no data +- +no data +no data`, out)
	require.NotContains(t, out, "0 of 0")
	require.Regexp(t, `not counted +copied_series: \d+ \(samples of replaced instances`, out)
	_, growth, found := strings.Cut(out, "How the evidence grew\n")
	require.True(t, found, out)
	var last string
	rows := 0
	for _, row := range strings.Split(growth, "\n") {
		fields := strings.Fields(row)
		if len(fields) < 2 || fields[1] == "needed" {
			break
		}
		if fields[1] == last { // the last of all closes the course
			require.Contains(t, strings.Split(growth, "\n")[rows+1], "needed for regressed", out)
		}
		last, rows = fields[1], rows+1
	}
	require.GreaterOrEqual(t, rows, 2)
	require.LessOrEqual(t, rows, growthRows)
}
