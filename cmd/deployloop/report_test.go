package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

const goodReport = `<testsuite name="cart"><testcase classname="acme/cart" name="TestTotal"/></testsuite>`
const badReport = `<testsuite name="cart"><testcase classname="acme/cart" name="TestTotal" file="cart_test.go" line="14"><failure message="want 3, got 4"/></testcase></testsuite>`

func runReport(t *testing.T, stdin string, arguments ...string) (string, int) {
	t.Helper()
	c := newReportCommand()
	var out bytes.Buffer
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&out)
	c.SilenceErrors = true
	c.SetArgs(arguments)
	err := c.ExecuteContext(context.Background())
	var exit exitError
	if errors.As(err, &exit) {
		return out.String(), exit.code
	}
	require.NoError(t, err)
	return out.String(), 0
}

func TestReportAgainstABaselineFile(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	baseline := filepath.Join(t.TempDir(), "baseline.json")
	out, code := runReport(t, goodReport, "--baseline", baseline, "--update", "--revision", "a1b2c3d", "-")
	require.Zero(t, code)
	require.Equal(t, "1 test: 1 passed, 0 failed, 0 skipped\n", out)

	out, code = runReport(t, badReport, "--baseline", baseline, "-")
	require.Equal(t, exitWorse, code)
	for _, want := range []string{"NEW FAILURE  acme/cart TestTotal", "at cart_test.go:14", "want 3, got 4", "last passed at a1b2c3d", "again: go test -count=1 -run '^TestTotal$' acme/cart", "1 new failure\n"} {
		require.Contains(t, out, want)
	}
	_, code = runReport(t, badReport, "--baseline", baseline, "--update", "-")
	require.Equal(t, exitWorse, code)
	out, code = runReport(t, badReport, "--baseline", baseline, "--output", "json", "-")
	require.Zero(t, code, "it failed before")
	var object reportOutput
	require.NoError(t, json.Unmarshal([]byte(out), &object))
	require.Equal(t, event.AlreadyFailing, object.Judgements[0].Call)
}

func TestReportInCI(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("GITHUB_ACTIONS", "true")
	quality := filepath.Join(t.TempDir(), "quality.json")
	out, code := runReport(t, strings.Replace(badReport, "want 3, got 4", "100%&#10;::warning::x", 1), "--code-quality", quality, "-")
	require.Equal(t, exitWorse, code)
	require.Equal(t, 2, strings.Count(out, "\n"), "one annotation, one line: %q", out)
	require.Contains(t, out, "::error file=cart_test.go,line=14,title=new failure%3A acme/cart TestTotal::at cart_test.go:14%0A100%25%0A::warning::x")
	text, err := os.ReadFile(quality)
	require.NoError(t, err)
	require.Contains(t, string(text), `"path":"cart_test.go","lines":{"begin":14}`)
}

// Where nothing else shows a failure, in GitLab's log or Jenkins's, its place,
// its reason and the command to run it again are printed.
func TestReportInCIWithoutAnnotations(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("GITHUB_ACTIONS", "")
	want := []string{"NEW FAILURE  acme/cart TestTotal", "at cart_test.go:14", "want 3, got 4", "again: go test -count=1 -run '^TestTotal$' acme/cart", "1 new failure\n"}
	check := func(arguments ...string) {
		out, code := runReport(t, badReport, arguments...)
		require.Equal(t, exitWorse, code)
		for _, text := range want {
			require.Contains(t, out, text)
		}
		require.NotContains(t, out, "::error")
	}
	check("--offline", "-")
	t.Setenv("GITHUB_ACTIONS", "true")
	check("--offline", "--annotations", "none", "-")
}

func TestReportNamesWhatItCouldNotRead(t *testing.T) {
	t.Setenv("CI", "")
	nothing := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(nothing, []byte("hello"), 0o600))
	out, code := runReport(t, goodReport, "--revision", "a1b2c3d", "-", nothing)
	require.Equal(t, exitUnreadable, code)
	require.Contains(t, out, "no report of a known kind")
	require.Contains(t, out, "1 test: 1 passed")

	out, code = runReport(t, "", nothing)
	require.Equal(t, exitUnreadable, code)
	require.NotContains(t, out, "0 failed", "that nothing failed is not known")
}

// A script tells a call that was wrong from a new failure.
func TestReportThatIsCalledWrongly(t *testing.T) {
	for _, arguments := range [][]string{{"--no-such-flag", "-"}, {"--kind", "nope", "-"}, {"--update", "-"}, {"--output", "xml", "-"}} {
		_, code := runReport(t, goodReport, arguments...)
		require.Equal(t, exitUnreadable, code, arguments)
	}
}

// A baseline that cannot be kept costs nobody the results.
func TestReportMakesTheFolderOfItsBaseline(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	baseline := filepath.Join(t.TempDir(), "known", "of", "baseline.json")
	_, code := runReport(t, goodReport, "--baseline", baseline, "--update", "-")
	require.Zero(t, code)
	require.FileExists(t, baseline)
	out, code := runReport(t, badReport, "--baseline", filepath.Join(baseline, "under-a-file"), "--update", "-")
	require.Equal(t, exitUnreadable, code, out)
}

// A pattern in quotes means what a shell would make of it, and more.
func TestReportReadsPatterns(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("a/b", 0o755))
	require.NoError(t, os.WriteFile("a/b/TEST-x.xml", []byte(goodReport), 0o600))
	out, code := runReport(t, "", "**/TEST-*.xml")
	require.Zero(t, code)
	require.Contains(t, out, "1 test: 1 passed")
	out, code = runReport(t, "", "**/none-*.xml")
	require.Equal(t, exitUnreadable, code)
	require.Contains(t, out, "**/none-*.xml: no file matches")
}

// sarifOf is a log of vet with a finding of each rule.
func sarifOf(rules ...string) string {
	results := []string{}
	for _, rule := range rules {
		results = append(results, `{"ruleId":"`+rule+`","message":{"text":"x"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]}`)
	}
	return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"vet"}},"results":[` + strings.Join(results, ",") + `]}]}`
}

// A linter that found nothing ran: what it finds later is new, and what it found
// before is fixed.
func TestLinterThatFoundNothing(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	baseline := filepath.Join(t.TempDir(), "baseline.json")
	out, code := runReport(t, sarifOf(), "--baseline", baseline, "--update", "-")
	require.Zero(t, code, out)
	out, code = runReport(t, sarifOf("leak"), "--baseline", baseline, "-")
	require.Equal(t, exitWorse, code, out)
	require.Contains(t, out, "NEW FINDING")

	_, code = runReport(t, sarifOf("leak"), "--baseline", baseline, "--update", "-")
	require.Equal(t, exitWorse, code)
	out, code = runReport(t, goodReport, "--baseline", baseline, "-")
	require.Zero(t, code)
	require.NotContains(t, out, "FIXED FINDING", "vet did not run")
	clean := sarifOf()
	out, code = runReport(t, clean[:len(clean)-3], "--baseline", baseline, "-")
	require.Equal(t, exitUnreadable, code)
	require.NotContains(t, out, "FIXED FINDING", "its log is cut off")
	out, code = runReport(t, clean, "--baseline", baseline, "-")
	require.Zero(t, code)
	require.Contains(t, out, "FIXED FINDING")
}

// ESLint and Jest tell whole paths, which are others in CI and at home.
func TestFindingsAreTheSameInAnotherFolder(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	baseline := filepath.Join(t.TempDir(), "baseline.json")
	sarif := func(dir string) string { return strings.ReplaceAll(sarifOf("leak"), "a.go", "file://"+dir+"/src/a.go") }
	there, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Chdir(there)
	_, code := runReport(t, sarif(there), "--baseline", baseline, "--update", "-")
	require.Zero(t, code)
	here, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Chdir(here)
	out, code := runReport(t, sarif(here), "--baseline", baseline, "-")
	require.Zero(t, code, out)
	require.Contains(t, out, "1 finding as before\n")

	const jest = `<testsuite name="Cart"><testcase classname="Cart adds" name="Cart adds"><failure>Error: expect(received).toBe(expected)

Expected: 3
Received: 4
    at Object.&lt;anonymous&gt; (DIR/src/cart.test.ts:14:21)</failure></testcase></testsuite>`
	out, code = runReport(t, strings.ReplaceAll(jest, "DIR", here), "-")
	require.Equal(t, exitWorse, code)
	require.Contains(t, out, "NEW FAILURE  Cart adds\n    at src/cart.test.ts:14\n    Error: expect(received).toBe(expected)\n    Expected: 3\n    Received: 4\n")
}

// Without a run of its tool before, a finding is neither new nor hidden.
func TestFirstFindingsAreTold(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("GITHUB_ACTIONS", "")
	out, code := runReport(t, sarifOf("leak"), "-")
	require.Zero(t, code)
	require.Equal(t, "FINDING  vet leak\n    a.go:3: x\n0 tests: 0 passed, 0 failed, 0 skipped · 1 finding, taken as the baseline\n", out)

	baseline := filepath.Join(t.TempDir(), "baseline.json")
	out, _ = runReport(t, sarifOf("leak", "race"), "--baseline", baseline, "--update", "-")
	require.Contains(t, out, "2 findings, taken as the baseline\n")
	out, code = runReport(t, sarifOf("leak", "null"), "--baseline", baseline, "-")
	require.Equal(t, exitWorse, code)
	require.Contains(t, out, "1 new finding · 1 finding fixed · 1 finding as before\n")
	require.NotContains(t, out, "leak", "it is as before")

	out, _ = runReport(t, sarifOf("leak", "race", "null"), "--top", "1", "-")
	require.Contains(t, out, "FINDING  vet leak\n    a.go:3: x\n… and 2 more (--top, or --output json)\n")
	t.Setenv("GITHUB_ACTIONS", "true")
	quality := filepath.Join(t.TempDir(), "quality.json")
	out, code = runReport(t, sarifOf("leak"), "--code-quality", quality, "-")
	require.Zero(t, code)
	require.Contains(t, out, "::notice file=a.go,line=3,title=finding%3A vet leak::a.go:3: x\n")
	text, err := os.ReadFile(quality)
	require.NoError(t, err)
	require.Contains(t, string(text), `"path":"a.go"`)

	runReport(t, sarifOf("leak", "leak", "race"), "--code-quality", quality, "-")
	text, err = os.ReadFile(quality)
	require.NoError(t, err)
	var issues []struct{ Fingerprint string }
	require.NoError(t, json.Unmarshal(text, &issues))
	prints := map[string]bool{}
	for _, i := range issues {
		prints[i.Fingerprint] = true
	}
	require.Len(t, prints, 3, "GitLab shows one of those that share a fingerprint")
}
