package consoleextension

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestConfig(t *testing.T) {
	auth := configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("basicauth")}})
	for _, c := range []struct {
		name   string
		change func(*Config)
		err    string
	}{
		{"default", func(*Config) {}, ""},
		{"IPv6 loopback", func(c *Config) { c.NetAddr.Endpoint = "[::1]:8090" }, ""},
		{"every address without auth", func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:8090" }, "set `auth:"},
		{"no host without auth", func(c *Config) { c.NetAddr.Endpoint = ":8090" }, "set `auth:"},
		{"a name without auth", func(c *Config) { c.NetAddr.Endpoint = "localhost.evil.example:8090" }, "set `auth:"},
		{"every address with auth", func(c *Config) { c.NetAddr.Endpoint, c.Auth = "0.0.0.0:8090", auth }, ""},
		{"no endpoint", func(c *Config) { c.NetAddr.Endpoint = "" }, "endpoint is empty"},
		{"no ledger", func(c *Config) { c.Ledger = component.ID{} }, "ledger is empty"},
		{"no clients", func(c *Config) { c.MaxLiveClients = 0 }, "max_live_clients"},
		{"no heartbeat", func(c *Config) { c.Heartbeat = 0 }, "heartbeat"},
		{"a trace URL", func(c *Config) { c.TraceURL = "https://t.example/trace/{trace_id}" }, ""},
		{"a script as trace URL", func(c *Config) { c.TraceURL = "javascript:alert('{trace_id}')" }, "trace_url"},
		{"a trace URL without id", func(c *Config) { c.TraceURL = "https://t.example/" }, "{trace_id}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			c.change(cfg)
			err := cfg.Validate()
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

func TestConfigFromYAML(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	cfg := createDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"endpoint": "127.0.0.1:9999", "ledger": "ledger/second", "max_live_clients": 3, "allowed_hosts": []any{"a.example"}}).Unmarshal(cfg))
	c := cfg.(*Config)
	require.Equal(t, "127.0.0.1:9999", c.NetAddr.Endpoint)
	require.Equal(t, "ledger/second", c.Ledger.String())
	require.Equal(t, 3, c.MaxLiveClients)
	require.Equal(t, []string{"a.example"}, c.AllowedHosts)
}

func TestStartNeedsALedger(t *testing.T) {
	ext, err := NewFactory().Create(context.Background(), extensiontest.NewNopSettings(Type), createDefaultConfig())
	require.NoError(t, err)
	require.ErrorContains(t, ext.Start(context.Background(), host{}), "service::extensions")
	require.NoError(t, ext.Shutdown(context.Background()))
	require.Equal(t, []component.ID{component.MustNewID("ledger")}, ext.(*console).Dependencies())
}

// stream opens /live and gives its lines.
func stream(t *testing.T, url string) (lines <-chan string, status int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live", nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	answer, err := transport.RoundTrip(r)
	require.NoError(t, err)
	out := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		for scan := bufio.NewScanner(answer.Body); scan.Scan(); {
			out <- scan.Text()
		}
	}()
	return out, answer.StatusCode, func() {
		cancel()
		<-done
		_ = answer.Body.Close()
		transport.CloseIdleConnections()
	}
}

// until reads lines till one holds text.
func until(t *testing.T, lines <-chan string, text string) string {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			require.True(t, ok, "the stream ended before %q", text)
			if strings.Contains(line, text) {
				return line
			}
		case <-limit:
			require.FailNow(t, "no line in time", "waiting for %q", text)
		}
	}
}

func TestLiveStream(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	c, url := start(t, l, time.Now, func(c *Config) {
		c.MaxLiveClients, c.Heartbeat = 2, time.Second
		c.WriteTimeout = 500 * time.Millisecond
	})
	first, status, stop := stream(t, url)
	defer stop()
	require.Equal(t, http.StatusOK, status)
	until(t, first, "event: hello")

	// The heartbeat outlives the server's write timeout for ordinary answers.
	until(t, first, ": still here")
	until(t, first, ": still here")
	l.RecordChange(event.Change{Repository: shop, Revision: revision(1), At: time.Now()})
	until(t, first, "event: update")
	require.Contains(t, until(t, first, "data:"), fmt.Sprintf(`{"kind":"change","id":%q}`, revision(1)))

	_, status, stopSecond := stream(t, url)
	require.Equal(t, http.StatusOK, status)
	refused, status, stopRefused := stream(t, url)
	require.Equal(t, http.StatusServiceUnavailable, status)
	until(t, refused, "max_live_clients")
	stopRefused()
	require.Equal(t, hubStats{Open: 2, Limit: 2, Refused: 1}, c.hub.stats())
	stopSecond()
	require.Eventually(t, func() bool { return c.hub.stats().Open == 1 }, 5*time.Second, 10*time.Millisecond, "a client that left frees its place")
}

func TestABurstIsOneMessage(t *testing.T) {
	h := newHub(1)
	c, ok := h.join()
	require.True(t, ok)
	for i := range 10_000 {
		h.broadcast(ledger.Update{Kind: "verdict", ID: fmt.Sprint(i)})
	}
	m := c.take()
	require.Len(t, m.Updates, pendingLimit, "what waits for a client is bounded")
	require.True(t, m.More)
	require.Equal(t, message{Updates: []told{}}, c.take())
	h.broadcast(ledger.Update{Kind: "run", ID: "7", Missed: 3})
	require.Equal(t, message{Updates: []told{{"run", "7"}}, More: true}, c.take())
	require.Equal(t, int64(3), h.stats().Missed)
}

func TestShutdownEndsLiveStreams(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	c, url := start(t, l, time.Now)
	lines, _, stop := stream(t, url)
	defer stop()
	until(t, lines, "event: hello")
	require.NoError(t, c.Shutdown(context.Background())) // does not return while one is open
	for range lines {                                    // ends
	}
}

// many fills a ledger to its limit of deployments.
func many(tb testing.TB) (*ledger.Ledger, string) {
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	id := p.play(tb, l)
	for i := range 10_000 {
		d, _ := l.RecordDeployment(event.Deployment{Service: fmt.Sprintf("svc-%d", i%400), Environment: "production", Version: fmt.Sprintf("%d.0", i), Revision: revision(1000 + i),
			StartedAt: p.at(time.Duration(10_000-i) * 20 * time.Second), Sources: []event.Source{{Name: "api", At: noon}}})
		v := p.badVerdict(d)
		v.State = event.Healthy
		l.RecordVerdict(v)
		l.RecordChange(event.Change{Repository: shop, Revision: revision(1000 + i), Message: "Change", At: d.StartedAt})
		l.RecordPipelineRun(event.PipelineRun{ID: fmt.Sprint(i), Stage: event.StageBuild, Result: "success", Revision: revision(1000 + i), StartedAt: d.StartedAt, FinishedAt: d.StartedAt.Add(time.Minute)})
	}
	return l, id
}

var heavy = []string{"/", "/alerts", "/coverage", "/api/v1/deployments", "/api/v1/status", "/changes/" + revision(5), "/?service=svc-7"}

func TestTenThousandDeployments(t *testing.T) {
	l, _ := many(t)
	c, _ := start(t, l, func() time.Time { return noon })
	h := c.site.handler()
	for _, path := range heavy {
		w := get(t, h, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Less(t, w.Body.Len(), 4<<20, "%s: a page of a full ledger is bounded", path)
	}
}

func BenchmarkTenThousandDeployments(b *testing.B) {
	l, id := many(b)
	c, _ := start(b, l, func() time.Time { return noon })
	h := c.site.handler()
	for _, path := range append(heavy, "/deployments/"+id) {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if code := get(b, h, path).Code; code != http.StatusOK {
					b.Fatal(path, code)
				}
			}
		})
	}
}
