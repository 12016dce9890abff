package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/deployloop/deployloop/test/load"
)

// compared is the processor time of both collectors, a round each, in seconds.
type compared struct {
	without, with []float64
	items         int // of one round
}

func (c compared) ratio() float64 {
	a, b := 0., 0.
	for i := range c.without {
		a, b = a+c.without[i], b+c.with[i]
	}
	return b / a
}

const plainConfig = `
receivers:
  otlp: {protocols: {http: {endpoint: %[1]s}}}
exporters:
  otlp_http: {endpoint: %[2]s, compression: gzip}
service:
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
    logs: {receivers: [otlp], exporters: [otlp_http]}
`

const detectConfig = `
receivers:
  otlp: {protocols: {http: {endpoint: %[1]s}}}
processors:
  deploy_marker: {ledger: ledger}
connectors:
  anomaly: {ledger: ledger, limits: {cpu: 2}}
exporters:
  otlp_http: {endpoint: %[2]s, compression: gzip}
  debug: {}
extensions:
  ledger: {}
service:
  extensions: [ledger]
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    traces: {receivers: [otlp], processors: [deploy_marker], exporters: [otlp_http, anomaly]}
    logs: {receivers: [otlp], processors: [deploy_marker], exporters: [otlp_http, anomaly]}
    logs/verdicts: {receivers: [anomaly], exporters: [debug]}
`

// collectors runs both in turns: what one sees, the other sees next.
func collectors(ctx context.Context, rounds, batches int) (compared, error) {
	c := compared{items: 2 * batches * load.Resources * load.PerResource}
	folder, err := os.MkdirTemp("", "deployloop-cost-")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "deployloop")
	fmt.Fprintln(os.Stderr, "cost: the whole collector, with and without the connector")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/deployloop").CombinedOutput(); err != nil {
		return c, fmt.Errorf("build: %w: %s", err, text)
	}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer sink.Close()
	var running [2]*collector
	for i, config := range []string{plainConfig, detectConfig} {
		path := filepath.Join(folder, fmt.Sprintf("%d.yaml", i))
		running[i], err = begin(ctx, program, path, config, sink.URL)
		if err != nil {
			return c, err
		}
		defer running[i].end()
	}
	for round := range rounds + 1 {
		for i, r := range running {
			used, err := r.round(ctx, batches)
			if err != nil {
				return c, err
			}
			switch {
			case round == 0: // everything is new to both
			case i == 0:
				c.without = append(c.without, used)
			default:
				c.with = append(c.with, used)
			}
		}
	}
	return c, nil
}

type collector struct {
	command *exec.Cmd
	url     string
	said    bytes.Buffer
}

func begin(ctx context.Context, program, path, config, sink string) (*collector, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	if err := os.WriteFile(path, fmt.Appendf(nil, config, address, sink), 0o600); err != nil {
		return nil, err
	}
	c := &collector{command: exec.CommandContext(ctx, program, "--config", path), url: "http://" + address}
	c.command.Stdout, c.command.Stderr = &c.said, &c.said
	c.command.SysProcAttr = endsWithItsParent()
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	for range 600 {
		if answer, err := http.Get(c.url); err == nil {
			answer.Body.Close()
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.end()
	return nil, fmt.Errorf("%s does not listen: %s", path, c.said.Bytes())
}

func (c *collector) end() {
	_ = c.command.Process.Signal(syscall.SIGTERM)
	_ = c.command.Wait()
}

// round sends the same batches as ever, stamped anew, and gives the processor
// time that the collector took for them.
func (c *collector) round(ctx context.Context, batches int) (float64, error) {
	spans, lines := load.Spans(), load.Lines()
	began, err := c.cpu()
	if err != nil {
		return 0, err
	}
	for range batches {
		load.Stamp(spans)
		load.StampLines(lines)
		if err := c.post(ctx, "/v1/traces", ptraceotlp.NewExportRequestFromTraces(spans)); err != nil {
			return 0, err
		}
		if err := c.post(ctx, "/v1/logs", plogotlp.NewExportRequestFromLogs(lines)); err != nil {
			return 0, err
		}
	}
	time.Sleep(2 * time.Second) // what waits in queues and ticks is of this round
	ended, err := c.cpu()
	return ended - began, err
}

func (c *collector) post(ctx context.Context, path string, request interface{ MarshalProto() ([]byte, error) }) error {
	body, err := request.MarshalProto()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %s", err, c.said.Bytes())
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, answer.Status, c.said.Bytes())
	}
	return nil
}

// cpu is the processor time that the collector used, in seconds.
func (c *collector) cpu() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the collector ended: %w: %s", err, c.said.Bytes())
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const user, system, ticks = 11, 12, 100 // of proc(5), after the name; clock ticks a second
	sum := 0.
	for _, i := range []int{user, system} {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0, err
		}
		sum += v / ticks
	}
	return sum, nil
}
