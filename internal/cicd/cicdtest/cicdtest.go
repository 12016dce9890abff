// Package cicdtest is what the tests of all sources of deliveries have in common.
package cicdtest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
)

var update = flag.Bool("update", false, "write testdata/*/intake.json anew")

// ReceivedAt is when every delivery of a test comes.
var ReceivedAt = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// Parse is the function of a source.
type Parse func(cicd.Delivery) (cicd.Intake, error)

// Golden plays each folder of testdata: the delivery in delivery.json, and in
// intake.json what it says.
func Golden(t *testing.T, parse Parse) {
	folders, err := filepath.Glob("testdata/*/delivery.json")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, file := range folders {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			in, err := parse(Delivery(t, file))
			require.NoError(t, err)
			Check(t, in, err)
			got, err := json.MarshalIndent(in, "", "  ")
			require.NoError(t, err)
			golden := filepath.Join(filepath.Dir(file), "intake.json")
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n")
		})
	}
}

// Delivery reads a delivery.json: the event of the headers, and the body.
func Delivery(t testing.TB, file string) cicd.Delivery {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var d struct {
		Event string
		Body  json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &d), file)
	return cicd.Delivery{Event: d.Event, Body: d.Body, ReceivedAt: ReceivedAt}
}

// Fuzz fuzzes a source from its golden cases, under the events of its headers.
func Fuzz(f *testing.F, parse Parse) {
	files, err := filepath.Glob("testdata/*/delivery.json")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		d := Delivery(f, file)
		f.Add(d.Event, d.Body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		in, err := parse(cicd.Delivery{Event: event, Body: body, ReceivedAt: ReceivedAt})
		Check(t, in, err)
	})
}

// Check is what holds of every source's result, whatever came in.
func Check(t testing.TB, in cicd.Intake, err error) {
	t.Helper()
	n := len(in.Changes) + len(in.Runs) + len(in.Deployments) + len(in.Findings) + len(in.Tests)
	if err != nil {
		require.Zero(t, n)
		require.NotContains(t, err.Error(), "\n", "an error is one line")
		return
	}
	require.Equal(t, n == 0, in.Ignored != "", "a delivery is used, or ignored with a reason")
	require.LessOrEqual(t, n, cicd.MaxCommits+cicd.MaxEntities)
	for _, c := range in.Changes {
		require.LessOrEqual(t, len(c.Message), cicd.MaxMessage)
	}
	for _, d := range in.Deployments {
		require.NotEmpty(t, d.Environment)
		require.True(t, d.URL == "" || strings.HasPrefix(d.URL, "http"))
		require.NotEmpty(t, d.Service)
		require.NotEmpty(t, d.Revision+d.Version)
	}
	for _, r := range in.Runs {
		require.Contains(t, []string{"pending", "executing", "finalizing", "finished"}, r.State)
		require.Contains(t, []string{"", "success", "failure", "timeout", "skip", "cancellation", "error"}, r.Result)
		require.True(t, r.FinishedAt.IsZero() || r.State == "finished", "only a finished run has an end")
		require.LessOrEqual(t, len(r.Steps), cicd.MaxSteps)
	}
}

// SharedData finds the published data beside the repository.
func SharedData(t testing.TB, parts ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		path := filepath.Join(append([]string{dir, "..", "shared", "data"}, parts...)...)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skipf("the published payloads are not here: put them into ../shared/data/%s beside the repository", filepath.Join(parts...))
		}
		dir = parent
	}
}

// At reads a time.
func At(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
