package otlpprobe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/deployloop/deployloop/internal/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func one(t *testing.T, c doctor.Check) doctor.Finding {
	t.Helper()
	list := doctor.Run(context.Background(), 10*time.Second, func(string, bool) {}, []doctor.Check{c})
	require.Len(t, list, 1)
	return list[0]
}

// By HTTP: what each answer means, of deployloop itself and of a back end.
func TestAnswersByHTTP(t *testing.T) {
	for answer, cause := range map[int]doctor.Cause{
		http.StatusServiceUnavailable:  doctor.CauseOverloaded,
		http.StatusTooManyRequests:     doctor.CauseOverloaded,
		http.StatusNotFound:            doctor.CauseSignalNotTaken,
		http.StatusForbidden:           doctor.CauseUnauthenticated,
		http.StatusInternalServerError: doctor.CauseServerError,
		http.StatusBadRequest:          doctor.CauseWrongServer,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/logs" {
				http.Error(w, "no", answer)
				return
			}
			w.Header().Set("Content-Type", "application/x-protobuf")
		}))
		paths := map[string]string{"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for _, backend := range []bool{false, true} {
			r := Receiver{Check: "otlp/http", Key: "receivers::otlp", Address: server.URL, Signals: Signals{Traces: true, Metrics: true, Logs: true}, Empty: backend}
			f := one(t, HTTP(r, client, paths))
			assert.Equal(t, cause, f.Cause, "%d: %+v", answer, f)
			assert.NotEmpty(t, f.Fix)
			r.Signals.Logs = false
			assert.Equal(t, "takes traces, metrics", one(t, HTTP(r, client, paths)).What)
		}
		server.Close()
	}
}

// By gRPC: the server has traces, and refuses them as it is told; of the other
// signals it knows nothing.
func TestAnswersByGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, traces := grpc.NewServer(), &tracesServer{}
	ptraceotlp.RegisterGRPCServer(server, traces)
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		assert.NoError(t, <-ended)
	})
	ask := func(signals Signals, answer error) doctor.Finding {
		traces.answer = answer
		return one(t, GRPC(Receiver{Check: "otlp/grpc", Key: "receivers::otlp", Address: listener.Addr().String(), Signals: signals}, func(context.Context) (*grpc.ClientConn, error) {
			return grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		}))
	}
	f := ask(Signals{Traces: true}, nil)
	assert.Equal(t, doctor.OK, f.Status, "%+v", f)
	f = ask(Signals{Traces: true, Metrics: true}, nil)
	assert.Equal(t, doctor.CauseSignalNotTaken, f.Cause, "%+v", f)
	assert.Contains(t, f.Fix, "service::pipelines::metrics::receivers")
	for _, full := range []error{status.Error(codes.ResourceExhausted, "queue is full"), status.Error(codes.Unavailable, "data refused due to high memory usage")} {
		f = ask(Signals{Traces: true}, full)
		assert.Equal(t, doctor.CauseOverloaded, f.Cause, "%+v", f)
		assert.Contains(t, f.Fix, "memory_limiter::limit_mib")
	}
	assert.Equal(t, doctor.CauseRefused, ask(Signals{Traces: true}, status.Error(codes.InvalidArgument, "no")).Cause)
}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	answer error
}

func (s *tracesServer) Export(context.Context, ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.answer
}
