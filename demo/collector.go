package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/dashboards"
	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// collector is a deployloop with the built-in configuration, as a user would
// run it, told where the shop's repository is.
type collector struct {
	process *process
	otlp    string // address of OTLP/HTTP
	cicd    string // base URLs
	page    string
	scraped []string // addresses for Prometheus: the loop's metrics and, with a stack, the Collector's own
	secret  string   // of the forge's webhooks
	client  *http.Client
}

// startCollector keeps its state and configuration in dir. alertmanager is the
// URL of whom it tells; withStack adds what the dashboards and rules ask for.
func startCollector(ctx context.Context, dir, repository, alertmanager string, withStack bool, log io.Writer) (*collector, error) {
	addresses := map[string]string{}
	for name, wanted := range map[string]string{
		"grpc": "127.0.0.1:4317", "http": "127.0.0.1:4318", "cicd": "127.0.0.1:8088", "page": "127.0.0.1:8090", "metrics": "127.0.0.1:8889", "self": "127.0.0.1:8888",
	} {
		address, err := freeAddress(wanted)
		if err != nil {
			return nil, err
		}
		addresses[name] = address
	}
	secret := rand.Text()
	type m = map[string]any
	connectors := m{"anomaly": m{"repositories": []m{{"service": "*", "path": repository}}}}
	args := []string{"demo-collector", "--config", "default:"}
	scraped, telemetry := []string{addresses["metrics"]}, m{"level": "none"}
	if withStack {
		path := filepath.Join(dir, "dashboards.yaml")
		if err := os.WriteFile(path, dashboards.CollectorConfig, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--config", path)
		connectors["span_metrics"] = m{"metrics_flush_interval": scrapeEvery.String()}
		own, err := netip.ParseAddrPort(addresses["self"])
		if err != nil {
			return nil, err
		}
		telemetry = m{"readers": []m{{"pull": m{"exporter": m{"prometheus": m{"host": own.Addr().String(), "port": own.Port()}}}}}}
		scraped = append(scraped, addresses["self"])
	}
	overlay, err := yaml.Marshal(m{
		"receivers": m{
			"otlp": m{"protocols": m{"grpc": m{"endpoint": addresses["grpc"]}, "http": m{"endpoint": addresses["http"]}}},
			"cicd": m{"endpoint": addresses["cicd"], "github": m{"secret": "${env:GITHUB_WEBHOOK_SECRET}"}},
		},
		"connectors": connectors,
		"exporters": m{
			"prometheus":   m{"endpoint": addresses["metrics"]},
			"alertmanager": m{"console_url": "http://" + addresses["page"]},
		},
		"extensions": m{"console": m{"endpoint": addresses["page"]}},
		"service":    m{"telemetry": m{"metrics": telemetry}},
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "demo.yaml")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(self, append(args, "--config", path), []string{
		"DEPLOYLOOP_STATE_DIR=" + filepath.Join(dir, "state"),
		"DEPLOYLOOP_ALERTMANAGER_URL=" + alertmanager,
		"GITHUB_WEBHOOK_SECRET=" + secret,
	}, log)
	if err != nil {
		return nil, err
	}
	c := &collector{
		process: p, otlp: addresses["http"], cicd: "http://" + addresses["cicd"], page: "http://" + addresses["page"], scraped: scraped,
		secret: secret, client: &http.Client{Timeout: 5 * time.Second},
	}
	if err := c.untilReady(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return c, nil
}

// freeAddress is wanted, or a free one when that is taken.
func freeAddress(wanted string) (string, error) {
	l, err := net.Listen("tcp", wanted)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	return l.Addr().String(), l.Close()
}

func (c *collector) untilReady(ctx context.Context) error {
	deadline := time.Now().Add(startTimeout)
	for {
		var status struct{}
		if c.get(ctx, "/api/v1/status", &status) == nil {
			conn, err := net.Dial("tcp", c.otlp)
			if err == nil {
				return conn.Close()
			}
		}
		switch {
		case c.process.ended():
			return errors.New("the Collector ended at its start")
		case time.Now().After(deadline):
			return fmt.Errorf("the Collector was not ready after %s", startTimeout)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// get reads from the page's API.
func (c *collector) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.page+path, nil)
	if err != nil {
		return err
	}
	return c.do(request, into)
}

func (c *collector) do(request *http.Request, into any) error {
	answer, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 32<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", request.Method, request.URL, answer.Status, bytes.TrimSpace(body))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// deployment is what the page knows of one deployment.
type deployment struct {
	Deployment event.Deployment `json:"deployment"`
	Verdict    *event.Verdict   `json:"verdict"`
	Anomalies  []event.Anomaly  `json:"anomalies"`
}

// deploymentOf is the newest deployment of a revision; ok is false when the
// page does not know it yet.
func (c *collector) deploymentOf(ctx context.Context, service, revision string) (deployment, bool, error) {
	var listed struct {
		Deployments []event.Deployment `json:"deployments"`
	}
	if err := c.get(ctx, "/api/v1/deployments?service="+service, &listed); err != nil {
		return deployment{}, false, err
	}
	for _, d := range listed.Deployments {
		if d.Revision == revision {
			var found deployment
			err := c.get(ctx, "/api/v1/deployments/"+d.ID, &found)
			return found, err == nil, err
		}
	}
	return deployment{}, false, nil
}

// mark records a deployment, as `deployloop mark` does.
func (c *collector) mark(ctx context.Context, d cicd.DeploymentRequest) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cicd+"/v1/deployments", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return c.do(request, nil)
}
