package anomalyconnector

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
)

// A new version sends no messages any more, so those who live on them lose as
// much as it does: that excuses nothing, though their traffic hangs together.
func TestConsumersOfMessagesAreNoPeers(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	r := NewReplay(createDefaultConfig().(*Config), now, true, zap.NewNop())
	defer r.Close()
	rng := rand.New(rand.NewPCG(3, 3))
	version, users := "1", 0.
	for second := range 900 {
		now = now.Add(time.Second)
		td := ptrace.NewTraces()
		spans := func(service, version string) ptrace.SpanSlice {
			x := td.ResourceSpans().AppendEmpty()
			x.Resource().Attributes().PutStr("service.name", service)
			x.Resource().Attributes().PutStr("deployment.environment.name", "prod")
			x.Resource().Attributes().PutStr("service.version", version)
			x.Resource().Attributes().PutStr("service.instance.id", service+version)
			return x.ScopeSpans().AppendEmpty().Spans()
		}
		span := func(in ptrace.SpanSlice, name string, kind ptrace.SpanKind) ptrace.Span {
			s := in.AppendEmpty()
			s.SetName(name)
			s.SetKind(kind)
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-20 * time.Millisecond)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			return s
		}
		users = .9*users + .05*rng.NormFloat64()
		n := int(20 * math.Exp(users))
		if second >= 400 {
			version = "2"
		}
		if second >= 500 {
			n = 1 // it takes no more
		}
		orders := spans("orders", version)
		for range n {
			span(orders, "POST /order", ptrace.SpanKindServer)
			s := span(orders, "SELECT", ptrace.SpanKindClient)
			s.SetParentSpanID([8]byte{1})
			s.Attributes().PutStr("server.address", "orders-db")
			span(orders, "publish order", ptrace.SpanKindProducer).SetParentSpanID([8]byte{1})
		}
		for _, service := range []string{"billing", "mail", "stock", "search"} {
			in := spans(service, "1")
			for range n {
				span(in, "process order", ptrace.SpanKindConsumer).SetParentSpanID([8]byte{2})
			}
		}
		r.Traces(td, now)
		r.Step(now)
	}
	verdicts := r.Finish()
	require.Len(t, verdicts, 1)
	v := verdicts[0]
	require.Equal(t, event.Regressed, v.State, "%s (%s)", v.Detail, v.ControlDetail)
	assert.Contains(t, v.Detail, "throughput")
	assert.NotContains(t, v.ControlDetail, "beside that of")
}
