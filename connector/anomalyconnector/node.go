package anomalyconnector

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
)

// node is one pair of the connector in the graph. The Collector makes one for
// each pair of signals that is wired; all of one component share a monitor, and
// of those with the same input only the first reads, else every span would
// count once for each output.
type node struct {
	shared *monitor
	key    *Config
	reads  bool

	start, stop sync.Once
	startErr    error
	stopErr     error
}

var (
	_ connector.Traces  = (*node)(nil)
	_ connector.Metrics = (*node)(nil)
	_ connector.Logs    = (*node)(nil)
)

// monitors are the live ones. The key is the config, not the component's id:
// the Collector gives all nodes of one id the same config, and two collectors
// in one process (a test, a reload) never the same.
var monitors = struct {
	sync.Mutex
	byConfig map[*Config]*monitor
}{byConfig: map[*Config]*monitor{}}

func newNode(set connector.Settings, cfg component.Config, input pipeline.Signal, logs consumer.Logs, metrics consumer.Metrics) *node {
	key := cfg.(*Config)
	monitors.Lock()
	defer monitors.Unlock()
	m := monitors.byConfig[key]
	if m == nil {
		m = newMonitor(set, key)
		monitors.byConfig[key] = m
	}
	n := &node{shared: m, key: key, reads: !m.inputs[input]}
	m.inputs[input] = true
	// Every node of an output signal leads to the same pipelines: one is enough.
	if logs != nil && m.logs == nil {
		m.logs = logs
	}
	if metrics != nil && m.metrics == nil {
		m.metrics = metrics
	}
	return n
}

// Start starts the shared monitor with the first node.
func (n *node) Start(ctx context.Context, host component.Host) error {
	n.start.Do(func() {
		monitors.Lock()
		defer monitors.Unlock()
		n.shared.users++
		if n.shared.users == 1 {
			n.startErr = n.shared.startUp(ctx, host)
		}
	})
	return n.startErr
}

// Shutdown stops the shared monitor with the last node that was started.
func (n *node) Shutdown(ctx context.Context) error {
	started := true
	n.start.Do(func() { started = false })
	n.stop.Do(func() {
		monitors.Lock()
		defer monitors.Unlock()
		if started {
			n.shared.users--
		}
		if n.shared.users > 0 {
			return
		}
		delete(monitors.byConfig, n.key)
		n.stopErr = n.shared.shutDown(ctx)
	})
	return n.stopErr
}

// Capabilities: nothing is changed; what is needed is copied.
func (n *node) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// ConsumeTraces counts entry spans and exceptions. It always returns nil: a
// detector must never fail the path of the user's data.
func (n *node) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	if n.reads {
		defer n.shared.meter.begin(n.shared).end()
		n.shared.readTraces(td)
	}
	return nil
}

// ConsumeMetrics always returns nil, as ConsumeTraces does.
func (n *node) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	if n.reads {
		defer n.shared.meter.begin(n.shared).end()
		n.shared.readMetrics(md)
	}
	return nil
}

// ConsumeLogs always returns nil, as ConsumeTraces does.
func (n *node) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	if n.reads {
		defer n.shared.meter.begin(n.shared).end()
		n.shared.readLogs(ld)
	}
	return nil
}
