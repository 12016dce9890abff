// Package examples plays the story of each configuration under examples/ with
// the real binary, on the configuration as it is shipped: only its addresses
// are moved to free ones.
package examples

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/load"
)

func TestMain(m *testing.M) {
	dir, err := deploylooptest.BuildOnce()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

const (
	goodRevision = "1111111111111111111111111111111111111111"
	badRevision  = "2222222222222222222222222222222222222222"
	production   = "production"
)

// shop is a service under load.
type shop struct {
	t         *testing.T
	service   string
	generator *load.Generator
	close     func() // ends the load
}

// open begins the load on 1.0.0 of a service, at an OTLP endpoint.
func open(t *testing.T, endpoint, service string) *shop {
	t.Helper()
	s := &shop{t: t, service: service, generator: load.New(endpoint, 1)}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.generator.Run(ctx) })
	s.close = func() { stop(); running.Wait() }
	t.Cleanup(s.close)
	s.serve("1.0.0", goodRevision, 3, 150, 0.01)
	return s
}

func (s *shop) serve(version, revision string, instances int, rate, errors float64) {
	c := load.Cohort{
		Service: s.service, Environment: production, Version: version, Revision: revision,
		Instances: instances, Rate: rate, Operation: "POST /cart/checkout", ErrorRatio: errors,
	}
	if errors > 0.1 {
		c.Exception = &load.Exception{
			Type: "TypeError", Message: "total is undefined", LogLine: "checkout failed: total is undefined",
			Stacktrace: "TypeError: total is undefined\n    at total (/app/src/cart/total.ts:88:9)",
		}
	}
	s.generator.Set(version, c)
}

// waitForHistory until there is something to compare with.
func (s *shop) waitForHistory() {
	s.t.Helper()
	eventually(s.t, 90*time.Second, func() bool { return s.generator.Sent("1.0.0").Requests > 2000 }, "some history of "+s.service)
}

// canary puts 1.1.0 beside 1.0.0, with this share of errors.
func (s *shop) canary(errors float64) {
	s.serve("1.0.0", goodRevision, 3, 100, 0.01)
	s.serve("1.1.0", badRevision, 1, 50, errors)
}

// rollBack takes 1.1.0 away.
func (s *shop) rollBack() {
	s.generator.Stop("1.1.0")
	s.serve("1.0.0", goodRevision, 3, 150, 0.01)
}

// sent counts the requests of both versions.
func (s *shop) sent() int {
	return s.generator.Sent("1.0.0").Requests + s.generator.Sent("1.1.0").Requests
}

// waitFor the verdict of the canary.
func waitFor(t *testing.T, loop *deploylooptest.Loop, service string, state event.VerdictState) event.Verdict {
	t.Helper()
	var v event.Verdict
	eventually(t, 90*time.Second, func() bool {
		var err error
		v, err = loop.Verdict(service, badRevision)
		return err == nil && v.State == state
	}, fmt.Sprintf("%s is %s", service, state))
	return v
}

// mark records the canary with the command that CI would use.
func mark(t *testing.T, loop *deploylooptest.Loop, service string) {
	t.Helper()
	out, code := command(t, "mark", "--endpoint", loop.CICD, "--service", service, "--environment", production,
		"--revision", badRevision, "--version", "1.1.0")
	require.Zero(t, code, out)
}

// command runs deployloop to its end.
func command(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	stdout, stderr, code := deploylooptest.Run(t, deploylooptest.Program(t), os.Environ(), args...)
	return stdout + stderr, code
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// page reads a page of the console.
func page(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}

func eventually(t *testing.T, limit time.Duration, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, limit, 100*time.Millisecond, what)
}

// Every shipped configuration has a story here, or is no configuration of a
// Collector.
func TestEveryExampleHasItsStory(t *testing.T) {
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		tests.Write(text)
	}
	readme, err := os.ReadFile("../../examples/README.md")
	require.NoError(t, err)
	found := 0
	require.NoError(t, filepath.WalkDir("../../examples", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml" {
			return err
		}
		found++
		name, err := filepath.Rel("../../examples", path)
		require.NoError(t, err)
		require.True(t, strings.Contains(tests.String(), "examples/"+name), "no test plays examples/%s", name)
		folder, _, nested := strings.Cut(name, "/")
		if nested {
			name = folder
		}
		require.True(t, strings.Contains(string(readme), "]("+name), "examples/README.md does not tell of %s", name)
		return nil
	}))
	require.Greater(t, found, 10)
	entries, err := os.ReadDir("../../examples")
	require.NoError(t, err)
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" {
			require.True(t, strings.Contains(string(readme), "]("+name), "examples/README.md does not tell of %s", name)
		}
	}
}
