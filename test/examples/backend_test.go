package examples

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // as the exporter sends
)

// backend takes OTLP over gRPC, as a user's own back end does, and counts.
type backend struct {
	url         string
	spans, logs atomic.Int64

	mu    sync.Mutex
	stamp map[string]int // spans by deployment.id
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{stamp: map[string]int{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.url = "http://" + listener.Addr().String()
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &backendTraces{b: b})
	plogotlp.RegisterGRPCServer(server, &backendLogs{b: b})
	pmetricotlp.RegisterGRPCServer(server, &backendMetrics{})
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); running.Wait() })
	return b
}

// stamped counts the spans of a deployment.
func (b *backend) stamped(deployment string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stamp[deployment]
}

type backendTraces struct {
	ptraceotlp.UnimplementedGRPCServer
	b *backend
}

func (s *backendTraces) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	traces := request.Traces()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for _, rs := range traces.ResourceSpans().All() {
		n := 0
		for _, ss := range rs.ScopeSpans().All() {
			n += ss.Spans().Len()
		}
		if id, ok := rs.Resource().Attributes().Get("deployment.id"); ok {
			s.b.stamp[id.Str()] += n
		}
	}
	s.b.spans.Add(int64(traces.SpanCount()))
	return ptraceotlp.NewExportResponse(), nil
}

type backendLogs struct {
	plogotlp.UnimplementedGRPCServer
	b *backend
}

func (s *backendLogs) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.b.logs.Add(int64(request.Logs().LogRecordCount()))
	return plogotlp.NewExportResponse(), nil
}

type backendMetrics struct {
	pmetricotlp.UnimplementedGRPCServer
}

func (*backendMetrics) Export(context.Context, pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), nil
}
