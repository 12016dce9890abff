package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/deployloop/deployloop/internal/backtest"
	"github.com/deployloop/deployloop/test/prometheustest"
)

// pastPod is an instance whose duration histogram a Prometheus has recorded.
type pastPod struct {
	version, name string
	from          int // minute in which it appears
	failing       float64
	counts        [2][]uint64 // by outcome: good, failed
}

var pastBounds = []float64{.05, .1, .25, .5, 1}

// export writes what the pod has counted up to now, as an SDK would.
func (p *pastPod) export(t *testing.T, url string, begun, now time.Time) {
	t.Helper()
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	r.Resource().Attributes().PutStr("service.instance.id", p.name)
	r.Resource().Attributes().PutStr("service.version", p.version)
	m := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for outcome, counts := range p.counts {
		d := h.DataPoints().AppendEmpty()
		d.SetStartTimestamp(pcommon.NewTimestampFromTime(begun))
		d.SetTimestamp(pcommon.NewTimestampFromTime(now))
		d.Attributes().PutStr("http.request.method", "POST")
		d.Attributes().PutStr("http.route", "/cart")
		d.Attributes().PutInt("http.response.status_code", int64(200+300*outcome))
		d.ExplicitBounds().FromRaw(pastBounds)
		d.BucketCounts().FromRaw(counts)
		total := uint64(0)
		for _, n := range counts {
			total += n
		}
		d.SetCount(total)
	}
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	require.NoError(t, err)
	answer, err := http.Post(url+"/api/v1/otlp/v1/metrics", "application/x-protobuf", bytes.NewReader(body))
	require.NoError(t, err)
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	require.Equal(t, http.StatusOK, answer.StatusCode, string(said))
}

// A real Prometheus that recorded two hours of a service, whose new version
// fails a fifth of its requests, is all that a backtest needs.
func TestBacktestReadsPrometheus(t *testing.T) {
	server := prometheustest.Start(t, prometheustest.Options{OTLP: true})
	rng := rand.New(rand.NewPCG(5, 6))
	begin := time.Now().Add(-110 * time.Minute).Truncate(time.Minute)
	var pods []*pastPod
	for i := range 4 {
		pods = append(pods, &pastPod{version: "1", name: fmt.Sprintf("old-%d", i), failing: .005})
	}
	pods = append(pods, &pastPod{version: "2", name: "new-0", from: 80, failing: .2})
	for quarter := range 4 * 100 {
		for _, p := range pods {
			if quarter < 4*p.from {
				continue
			}
			if p.counts[0] == nil {
				p.counts[0], p.counts[1] = make([]uint64, len(pastBounds)+1), make([]uint64, len(pastBounds)+1)
			}
			for range 150 {
				outcome := 0
				if rng.Float64() < p.failing {
					outcome = 1
				}
				p.counts[outcome][min(int(rng.ExpFloat64()*1.5), len(pastBounds))]++
			}
			p.export(t, server.URL, begin.Add(time.Duration(p.from)*time.Minute-15*time.Second), begin.Add(time.Duration(quarter)*15*time.Second))
		}
	}
	out, _ := runBacktest(t, "", "--prometheus", server.URL, "--since", "2h", "--output", "json")
	var last backtest.Line
	for _, l := range decode(t, out) {
		if l.Final && l.Deployment.Version == "2" {
			last = l
		}
	}
	require.Equal(t, "regressed", last.Verdict, out)
	require.Equal(t, "checkout", last.Deployment.Service)
	require.NotNil(t, last.Onset)
	require.WithinDuration(t, begin.Add(80*time.Minute), *last.Onset, 2*time.Minute)
	require.NotEmpty(t, last.Evidence)
}

func TestBacktestHistoryFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"nothing to play": {},
		"--since":         {"--prometheus", "http://x", "--since", "a while"},
		"--label":         {"--prometheus", "http://x", "--label", "version"},
		"--step":          {"--prometheus", "http://x", "--step", "soon"},
		"no step of 2h":   {"--prometheus", "http://x", "--since", "2026-11-23T14:10:00Z", "--until", "2026-11-23T15:10:00Z", "--step", "2h"},
		"none of service": {"--prometheus", "http://x", "--label", "tag=image"},
	} {
		c := newBacktestCommand()
		c.SetArgs(args)
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		require.ErrorContains(t, c.ExecuteContext(t.Context()), want)
	}
}
