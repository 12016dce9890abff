package examples

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/servertest"
)

// Two processes behind a balancer: each service is judged by one of them, from
// all of its spans; a deployment is known to both.
func TestScaleOut(t *testing.T) {
	t.Parallel()
	full := deploylooptest.FullProgram(t)
	places := deploylooptest.NewPlaces(t)
	var loops []*deploylooptest.Loop
	for _, n := range []string{"1", "2"} {
		text := strings.ReplaceAll(string(readFile(t, filepath.Join(servertest.Root(t), "examples/scale-out/deployloop.yaml"))), "${env:LOOP}", n)
		moved := filepath.Join(t.TempDir(), "deployloop-"+n+".yaml")
		require.NoError(t, os.WriteFile(moved, places.Move([]byte(text)), 0o600))
		loops = append(loops, deploylooptest.StartExample(t, deploylooptest.Example{Moved: moved, Places: places, OTLP: n + "4318", Console: n + "8090"}))
	}
	front := deploylooptest.StartExample(t, deploylooptest.Example{Program: full, File: "examples/scale-out/balancer.yaml", Places: places})

	// Enough services that both get some: one of them gets a bad deploy.
	services := []string{"checkout", "catalogue", "search", "payments", "shipping", "accounts"}
	shops := map[string]*shop{}
	for _, service := range services {
		shops[service] = open(t, front.OTLP, service)
		if service != "checkout" {
			shops[service].serve("1.0.0", goodRevision, 2, 10, 0.01)
		}
	}
	shops["checkout"].waitForHistory()
	mark(t, front, "checkout")
	shops["checkout"].canary(0.3)
	for i, loop := range loops {
		eventually(t, 30*time.Second, func() bool { _, err := loop.Deployment("checkout", badRevision); return err == nil }, "the deployment is known to process "+string(rune('1'+i)))
	}
	verdicts := func() (regressed int) {
		for _, loop := range loops {
			if v, err := loop.Verdict("checkout", badRevision); err == nil && v.State == event.Regressed {
				regressed++
			}
		}
		return regressed
	}
	eventually(t, 90*time.Second, func() bool { return verdicts() == 1 }, "one process judges it")

	// One process has all of a service, the other nothing.
	seen := map[string][]bool{}
	for i, loop := range loops {
		var coverage struct {
			Services []struct {
				Service string
				Traces  bool
			}
		}
		require.NoError(t, loop.Get("/api/v1/coverage", &coverage))
		for _, s := range coverage.Services {
			if seen[s.Service] == nil {
				seen[s.Service] = make([]bool, len(loops))
			}
			seen[s.Service][i] = s.Traces
		}
	}
	require.Len(t, seen, len(services))
	owners := []int{0, 0}
	for service, by := range seen {
		assert.NotEqual(t, by[0], by[1], "%s is seen by one process alone: %v", service, by)
		for i, owns := range by {
			if owns {
				owners[i]++
			}
		}
	}
	assert.Equal(t, len(services), owners[0]+owners[1])
	assert.Equal(t, 1, verdicts(), "and by no other")
}

// By Kafka: the collector of a namespace writes, a deployloop reads it and the
// events of the pipeline, and judges from what came through the broker alone.
func TestScaleOutByKafka(t *testing.T) {
	t.Parallel()
	full := deploylooptest.FullProgram(t)
	places := deploylooptest.NewPlaces(t)
	broker := places.Of("9092")
	_, port, err := net.SplitHostPort(broker)
	require.NoError(t, err)
	program := servertest.Tool(t, "kafka")
	servertest.Run(t, "Kafka", func() *exec.Cmd { return exec.Command(program, "-port", port) }, func() bool {
		c, err := net.Dial("tcp", broker)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	sender := deploylooptest.StartExample(t, deploylooptest.Example{
		Program: full, File: "examples/scale-out/kafka-sender.yaml", Places: places, Env: []string{"NAMESPACE=shop"},
	})
	text := strings.ReplaceAll(string(readFile(t, "../../examples/scale-out/kafka-deployloop.yaml")), "${env:LOOP}", "1")
	moved := filepath.Join(t.TempDir(), "kafka-deployloop.yaml")
	require.NoError(t, os.WriteFile(moved, places.Move([]byte(text)), 0o600))
	reader := deploylooptest.StartExample(t, deploylooptest.Example{
		Program: full, Moved: moved, Places: places, Console: "18090", Env: []string{"NAMESPACES=shop|search"},
	})

	s := open(t, sender.OTLP, "checkout")
	eventually(t, 60*time.Second, func() bool {
		var coverage struct{ Services []struct{ Service string } }
		return reader.Get("/api/v1/coverage", &coverage) == nil && len(coverage.Services) == 1
	}, "the reader has the topic")
	s.waitForHistory()
	mark(t, sender, "checkout")
	eventually(t, 30*time.Second, func() bool { _, err := reader.Deployment("checkout", badRevision); return err == nil }, "the event came through the broker")
	s.canary(0.3)
	v := waitFor(t, reader, "checkout", event.Regressed)
	assert.Equal(t, "1.1.0", v.Deployment.Version)
}
