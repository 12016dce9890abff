package anomalyconnector

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
)

func TestCallees(t *testing.T) {
	var c callees
	for name, tc := range map[string]struct {
		attributes map[string]any
		want       string
	}{
		"a service by its name":          {map[string]any{"peer.service": "payments", "server.address": "10.0.0.1"}, "payments"},
		"inside the cluster":             {map[string]any{"server.address": "payments.shop.svc.cluster.local"}, "payments"},
		"inside the cluster, short":      {map[string]any{"server.address": "payments.shop.svc:8080"}, "payments"},
		"one label":                      {map[string]any{"server.address": "payments-db", "db.system.name": "postgresql"}, "payments-db"},
		"the deprecated name":            {map[string]any{"net.peer.name": "payments"}, "payments"},
		"somebody else's":                {map[string]any{"server.address": "API.Stripe.com."}, "api.stripe.com"},
		"a number names nothing":         {map[string]any{"server.address": "10.1.2.3"}, ""},
		"nor does one with six":          {map[string]any{"server.address": "[2001:db8::1]"}, ""},
		"nor this machine":               {map[string]any{"server.address": "localhost"}, ""},
		"nor a socket":                   {map[string]any{"server.address": "/var/run/postgres.sock"}, ""},
		"nothing is said":                {map[string]any{"http.request.method": "GET"}, ""},
		"the same again, from the cache": {map[string]any{"server.address": "payments.shop.svc.cluster.local"}, "payments"},
	} {
		t.Run(name, func(t *testing.T) {
			m := pcommon.NewMap()
			assert.NoError(t, m.FromRaw(tc.attributes))
			assert.Equal(t, tc.want, c.of(m))
			assert.Equal(t, tc.want, c.of(m))
		})
	}
	for i := range 3 * maxNames {
		m := pcommon.NewMap()
		m.PutStr("server.address", "host"+strconv.Itoa(i))
		c.of(m)
		assert.LessOrEqual(t, len(c.byAddress), maxNames)
	}
}

// The data base of payments goes bad minutes after web was deployed. The spans
// of mobile show that it is not web's new version, and the chain of calls who
// moved first.
func TestSpansExonerateByTheGraph(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	config := createDefaultConfig().(*Config)
	config.Watch = []time.Duration{time.Minute, 10 * time.Minute}
	r := NewReplay(config, now, true, zap.NewNop())
	defer r.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	version := map[string]string{"web": "1", "mobile": "1", "payments": "1"}
	spans := map[string]ptrace.SpanSlice{}
	span := func(service, name string, kind ptrace.SpanKind, peer string, failed bool) {
		s := spans[service].AppendEmpty()
		s.SetName(name)
		s.SetKind(kind)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-20 * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		if peer != "" {
			s.SetParentSpanID([8]byte{1})
			s.Attributes().PutStr("server.address", peer)
		}
		if failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	for second := range 420 {
		now = now.Add(time.Second)
		td := ptrace.NewTraces()
		for _, service := range []string{"web", "mobile", "payments"} {
			x := td.ResourceSpans().AppendEmpty()
			x.Resource().Attributes().PutStr("service.name", service)
			x.Resource().Attributes().PutStr("deployment.environment.name", "prod")
			x.Resource().Attributes().PutStr("service.version", version[service])
			x.Resource().Attributes().PutStr("service.instance.id", service+version[service])
			spans[service] = x.ScopeSpans().AppendEmpty().Spans()
		}
		for range 15 {
			for _, caller := range []string{"web", "mobile"} {
				failed := second >= 360 && rng.Float64() < .4
				span("payments", "SELECT", ptrace.SpanKindClient, "payments-db", failed)
				span("payments", "POST /pay", ptrace.SpanKindServer, "", failed)
				span(caller, "POST", ptrace.SpanKindClient, "payments.shop.svc.cluster.local", failed)
				span(caller, "POST /order", ptrace.SpanKindServer, "", failed)
			}
		}
		r.Traces(td, now)
		r.Step(now)
		if second == 300 {
			version["web"] = "2"
		}
	}
	verdicts := r.Finish()
	require.Len(t, verdicts, 1)
	v := verdicts[0]
	require.Equal(t, event.Exonerated, v.State, v.Detail)
	assert.Equal(t, event.ReasonUpstreamFirst, v.Reason)
	assert.Contains(t, v.Detail, "First to move: payments-db.")
}
