// Package otlpprobe sends one span, one metric point and one log record over
// OTLP, as a service does, to find out whether they are taken.
//
// They name no service: the deploy_marker and the anomaly connector leave such
// telemetry alone, so nothing is inferred or judged from it. It does pass on to
// the back ends, under the scope "deployloop doctor". A back end itself is sent
// a request that holds nothing.
package otlpprobe

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

const scope = "deployloop doctor"

// Signals that a receiver is to take.
type Signals struct{ Traces, Metrics, Logs bool }

func (s Signals) names() string {
	var list []string
	for _, one := range []struct {
		is   bool
		name string
	}{{s.Traces, "traces"}, {s.Metrics, "metrics"}, {s.Logs, "logs"}} {
		if one.is {
			list = append(list, one.name)
		}
	}
	return strings.Join(list, ", ")
}

func traces(empty bool) ptraceotlp.ExportRequest {
	if empty {
		return ptraceotlp.NewExportRequest()
	}
	td := ptrace.NewTraces()
	scopeSpans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	scopeSpans.Scope().SetName(scope)
	span := scopeSpans.Spans().AppendEmpty()
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	span.SetTraceID(pcommon.TraceID(id[:16]))
	span.SetSpanID(pcommon.SpanID(id[16:]))
	span.SetName("probe")
	now := pcommon.NewTimestampFromTime(time.Now())
	span.SetStartTimestamp(now)
	span.SetEndTimestamp(now)
	return ptraceotlp.NewExportRequestFromTraces(td)
}

func metrics(empty bool) pmetricotlp.ExportRequest {
	if empty {
		return pmetricotlp.NewExportRequest()
	}
	md := pmetric.NewMetrics()
	scopeMetrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scopeMetrics.Scope().SetName(scope)
	metric := scopeMetrics.Metrics().AppendEmpty()
	metric.SetName(event.MetricDoctorProbe)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	point.SetIntValue(1)
	return pmetricotlp.NewExportRequestFromMetrics(md)
}

func logs(empty bool) plogotlp.ExportRequest {
	if empty {
		return plogotlp.NewExportRequest()
	}
	ld := plog.NewLogs()
	scopeLogs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	scopeLogs.Scope().SetName(scope)
	record := scopeLogs.LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.SetSeverityNumber(plog.SeverityNumberInfo)
	record.Body().SetStr("deployloop doctor tests whether this is taken")
	return plogotlp.NewExportRequestFromLogs(ld)
}

// Receiver is one that takes OTLP: deployloop's own, or a back end.
type Receiver struct {
	Check   string // name of the check
	Key     string // of its settings in the configuration
	Address string // host:port, or a URL for HTTP
	Signals Signals
	Start   string // how to have it listen
	Auth    bool   // it asks for credentials, of which doctor has none
	Empty   bool   // send no item
}

// GRPC sends over gRPC; dial makes the connection.
func GRPC(r Receiver, dial func(context.Context) (*grpc.ClientConn, error)) doctor.Check {
	return doctor.Check{Name: r.Check, Target: r.Address, Run: func(ctx context.Context) []doctor.Finding {
		conn, err := dial(ctx)
		if err != nil {
			return []doctor.Finding{r.unreachable(err)}
		}
		defer conn.Close()
		for _, send := range []struct {
			wanted bool
			signal string
			export func() error
		}{
			{r.Signals.Traces, "traces", func() error { _, err := ptraceotlp.NewGRPCClient(conn).Export(ctx, traces(r.Empty)); return err }},
			{r.Signals.Metrics, "metrics", func() error { _, err := pmetricotlp.NewGRPCClient(conn).Export(ctx, metrics(r.Empty)); return err }},
			{r.Signals.Logs, "logs", func() error { _, err := plogotlp.NewGRPCClient(conn).Export(ctx, logs(r.Empty)); return err }},
		} {
			if !send.wanted {
				continue
			}
			if err := send.export(); err != nil {
				return []doctor.Finding{r.refusedGRPC(ctx, err, send.signal)}
			}
		}
		return []doctor.Finding{doctor.Good("takes " + r.Signals.names())}
	}}
}

func (r Receiver) refusedGRPC(ctx context.Context, err error, signal string) doctor.Finding {
	s, text := status.Convert(err), wording.OneLine(status.Convert(err).Message(), 200)
	switch {
	case s.Code() == codes.Unauthenticated || s.Code() == codes.PermissionDenied:
		return r.unauthenticated()
	case s.Code() == codes.Unimplemented:
		return r.notTaken(signal)
	case s.Code() == codes.DeadlineExceeded || ctx.Err() != nil && !strings.Contains(text, "connection refused"):
		return r.unreachable(context.DeadlineExceeded)
	case strings.Contains(text, "connection refused"):
		return doctor.Fail(doctor.CauseNothingListens, "nothing listens at "+r.Address, r.Start)
	case strings.Contains(text, "tls:") || strings.Contains(text, "authentication handshake"):
		return doctor.Fail(doctor.CauseTLS, text, "set "+r.Key+"::tls as the running deployloop has it")
	case strings.Contains(text, "memory usage"), s.Code() == codes.ResourceExhausted:
		return r.overloaded(text)
	case strings.Contains(text, "http2") || strings.Contains(text, "preface") || strings.Contains(text, "content-type"):
		return doctor.Fail(doctor.CauseWrongServer, "what answers at "+r.Address+" is no OTLP receiver over gRPC: "+text, "correct "+r.Key+"::endpoint; OTLP over HTTP has a port of its own")
	case s.Code() == codes.Unavailable:
		return doctor.Fail(doctor.CauseConnectionFailed, text, r.Start)
	}
	return doctor.Fail(doctor.CauseRefused, fmt.Sprintf("a probe of %s was refused: %s: %s", signal, s.Code(), text), "see the log of deployloop")
}

// HTTP sends over HTTP; paths are by signal: traces, metrics, logs.
func HTTP(r Receiver, client *http.Client, paths map[string]string) doctor.Check {
	return doctor.Check{Name: r.Check, Target: r.Address, Run: func(ctx context.Context) []doctor.Finding {
		for _, send := range []struct {
			wanted bool
			signal string
			body   func() ([]byte, error)
		}{
			{r.Signals.Traces, "traces", traces(r.Empty).MarshalProto},
			{r.Signals.Metrics, "metrics", metrics(r.Empty).MarshalProto},
			{r.Signals.Logs, "logs", logs(r.Empty).MarshalProto},
		} {
			if !send.wanted {
				continue
			}
			if f := r.post(ctx, client, send.signal, paths[send.signal], send.body); f.Status != doctor.OK {
				return []doctor.Finding{f}
			}
		}
		return []doctor.Finding{doctor.Good("takes " + r.Signals.names())}
	}}
}

func (r Receiver) post(ctx context.Context, client *http.Client, signal, path string, marshal func() ([]byte, error)) doctor.Finding {
	body, err := marshal()
	if err != nil {
		return doctor.Fail(doctor.CauseRefused, "the probe cannot be encoded: "+err.Error(), "report this")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Address+path, bytes.NewReader(body))
	if err != nil {
		return r.unreachable(err)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := client.Do(request)
	if err != nil {
		return r.unreachable(err)
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	text := fmt.Sprintf("%d: %s", response.StatusCode, wording.OneLine(strings.ToValidUTF8(string(said), ""), 160))
	switch {
	case response.StatusCode/100 == 2 && strings.HasPrefix(response.Header.Get("Content-Type"), "application/x-protobuf"):
		return doctor.Good("")
	case response.StatusCode/100 == 2:
		return doctor.Fail(doctor.CauseWrongServer, "what answers at "+r.Address+" is no OTLP receiver over HTTP", "correct "+r.Key+"::endpoint")
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return r.unauthenticated()
	case response.StatusCode == http.StatusNotFound:
		return r.notTaken(signal)
	case response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests:
		return r.overloaded(text)
	case response.StatusCode >= 500:
		return doctor.Fail(doctor.CauseServerError, fmt.Sprintf("a probe of %s failed (%s)", signal, text), "see the log of deployloop: a pipeline or back end behind it refuses")
	}
	return doctor.Fail(doctor.CauseWrongServer, "what answers at "+r.Address+" is no OTLP receiver over HTTP ("+text+")", "correct "+r.Key+"::endpoint; OTLP over gRPC has a port of its own")
}

func (r Receiver) unreachable(err error) doctor.Finding {
	why, text := doctor.NetworkCause(err)
	f := doctor.Fail(why, text, r.Start)
	if why == doctor.CauseNothingListens {
		f.What = "nothing listens at " + r.Address
	}
	if strings.Contains(text, "malformed HTTP") {
		f.Cause, f.What, f.Fix = doctor.CauseWrongServer, "what answers at "+r.Address+" does not speak HTTP", "correct "+r.Key+"::endpoint; OTLP over gRPC has a port of its own"
	}
	return f
}

func (r Receiver) unauthenticated() doctor.Finding {
	if r.Auth {
		return doctor.Good("is there, and refuses who has no credentials (doctor has none)")
	}
	if r.Empty {
		return doctor.Fail(doctor.CauseUnauthenticated, "the back end does not take the credentials", "set "+r.Key+"::auth or ::headers to what it asks for")
	}
	return doctor.Fail(doctor.CauseUnauthenticated, "it wants credentials, and this configuration has no auth for it", "give doctor the --config that deployloop runs with")
}

func (r Receiver) notTaken(signal string) doctor.Finding {
	if r.Empty {
		return doctor.Fail(doctor.CauseSignalNotTaken, "the back end takes no "+signal+" at "+r.Address, "correct "+r.Key+"::endpoint, or take the exporter out of the pipelines of "+signal)
	}
	return doctor.Fail(doctor.CauseSignalNotTaken, signal+" are not taken at "+r.Address+": the running deployloop has no pipeline for them, or it is another program",
		"add the otlp receiver to service::pipelines::"+signal+"::receivers and restart deployloop")
}

func (r Receiver) overloaded(text string) doctor.Finding {
	if r.Empty {
		return doctor.Fail(doctor.CauseOverloaded, "the back end refuses for now ("+text+")", "see whether it is overloaded")
	}
	return doctor.Fail(doctor.CauseOverloaded, "deployloop refuses telemetry for lack of memory, or a back end behind it does ("+text+")",
		"raise processors::memory_limiter::limit_mib, or send less")
}
