// Package prometheustest starts a real Prometheus for a test.
package prometheustest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/test/servertest"
)

// Server is a running Prometheus.
type Server struct {
	URL string

	t   testing.TB
	api prometheus.API
}

// Options of a Server.
type Options struct {
	Targets []string      // base URLs whose /metrics it scrapes
	Every   time.Duration // scrape interval
	// RemoteWrite has it take remote writes.
	RemoteWrite bool
	// OTLP has it take OTLP metrics at /api/v1/otlp.
	OTLP bool
	// Config is a whole configuration in place of Targets and Every.
	Config []byte
}

// Start runs a Prometheus until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	dir := t.TempDir()
	var hosts []string
	for _, target := range o.Targets {
		hosts = append(hosts, strings.TrimPrefix(target, "http://"))
	}
	type m = map[string]any
	if o.Every == 0 {
		o.Every = time.Minute
	}
	config, err := yaml.Marshal(m{
		"global":         m{"scrape_interval": o.Every.String(), "scrape_timeout": o.Every.String()},
		"scrape_configs": []m{{"job_name": "deployloop", "static_configs": []m{{"targets": append([]string{}, hosts...)}}}},
	})
	require.NoError(t, err)
	if o.Config != nil {
		config = o.Config
	}
	path := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(path, config, 0o600))

	address := servertest.FreeAddress(t)
	program := servertest.Tool(t, "prometheus")
	s := &Server{URL: "http://" + address, t: t}
	client, err := promapi.NewClient(promapi.Config{Address: s.URL})
	require.NoError(t, err)
	s.api = prometheus.NewAPI(client)
	servertest.Run(t, "Prometheus", func() *exec.Cmd {
		arguments := []string{"--config.file=" + path, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + address, "--enable-feature=exemplar-storage"}
		if o.RemoteWrite {
			arguments = append(arguments, "--web.enable-remote-write-receiver")
		}
		if o.OTLP {
			arguments = append(arguments, "--web.enable-otlp-receiver")
		}
		return exec.Command(program, arguments...)
	}, func() bool { return servertest.Answers(s.URL + "/-/ready") })
	return s
}

// Query gives the series of a query at this moment.
func (s *Server) Query(query string) model.Vector {
	s.t.Helper()
	value, _, err := s.api.Query(context.Background(), query, time.Now())
	require.NoError(s.t, err, query)
	vector, ok := value.(model.Vector)
	require.True(s.t, ok, "%s gives a %s", query, value.Type())
	return vector
}
