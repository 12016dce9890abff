package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/rules"
)

// scrapeEvery is a third of what Prometheus' users have, so that the demo need
// not wait for it; the loop's metrics move every fifteen seconds.
const scrapeEvery = 5 * time.Second

// stack is the Prometheus beside the loop: it scrapes the loop's metrics, holds
// the shipped rules against them, and alerts to the demo's Alertmanager.
type stack struct {
	url     string
	api     prometheus.API
	process *process
	begun   time.Time
}

// stackPrograms are what a stack of one's own needs; an Alertmanager that runs
// already takes the place of the second.
func stackPrograms(alertmanager string) []string {
	if alertmanager != "" {
		return []string{"prometheus"}
	}
	return []string{"prometheus", "alertmanager"}
}

// needPrograms names how to get those that are absent.
func needPrograms(names []string) error {
	var absent []string
	for _, name := range names {
		if findProgram(name) == "" {
			absent = append(absent, name)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	return fmt.Errorf("no %s on PATH or in .tools/bin: in a checkout of deployloop run scripts/install-tools.sh %[2]s, then start the demo there",
		strings.Join(absent, " and no "), strings.Join(absent, " "))
}

// findProgram looks where `make tools` puts it, here and beside this program's
// checkout, and on the PATH.
func findProgram(name string) string {
	places := []string{filepath.Join(".tools", "bin", name)}
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), "..", ".tools", "bin", name))
	}
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			if p, err = filepath.Abs(p); err == nil {
				return p
			}
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return p
}

// startStack keeps Prometheus' configuration and data in dir. It scrapes the
// targets, which are host:port.
func startStack(ctx context.Context, dir, alertmanager string, targets []string, log io.Writer) (*stack, error) {
	rulesPath := filepath.Join(dir, "rules.yml")
	if err := os.WriteFile(rulesPath, rules.File, 0o600); err != nil {
		return nil, err
	}
	type m = map[string]any
	scheme, host, _ := strings.Cut(alertmanager, "://")
	host, prefix, _ := strings.Cut(host, "/")
	config, err := yaml.Marshal(m{
		"global":         m{"scrape_interval": scrapeEvery.String(), "scrape_timeout": scrapeEvery.String(), "evaluation_interval": scrapeEvery.String()},
		"rule_files":     []string{rulesPath},
		"alerting":       m{"alertmanagers": []m{{"scheme": scheme, "path_prefix": "/" + prefix, "static_configs": []m{{"targets": []string{host}}}}}},
		"scrape_configs": []m{{"job_name": "deployloop", "static_configs": []m{{"targets": targets}}}},
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress("127.0.0.1:9090")
	if err != nil {
		return nil, err
	}
	s := &stack{url: "http://" + address, begun: time.Now()}
	client, err := promapi.NewClient(promapi.Config{Address: s.url})
	if err != nil {
		return nil, err
	}
	s.api = prometheus.NewAPI(client)
	s.process, err = start(findProgram("prometheus"), []string{
		"--config.file=" + path, "--storage.tsdb.path=" + filepath.Join(dir, "prometheus"),
		"--web.listen-address=" + address, "--enable-feature=exemplar-storage",
	}, nil, log)
	if err != nil {
		return nil, err
	}
	if err := untilReady(ctx, "Prometheus", s.url, s.process); err != nil {
		s.process.stop()
		return nil, err
	}
	return s, nil
}

// untilReady waits for a server of the Prometheus family.
func untilReady(ctx context.Context, name, url string, child *process) error {
	deadline := time.Now().Add(startTimeout)
	for {
		answer, err := http.Get(url + "/-/ready")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if child.ended() || time.Now().After(deadline) {
			return fmt.Errorf("%s did not start at %s", name, url)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// firing are the names of the rules that fire for a service in Prometheus, and
// of those that fire for any other.
func (s *stack) firing(ctx context.Context, service string) (forIt, others []string, err error) {
	result, err := s.api.Alerts(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("Prometheus does not list its alerts: %w", err)
	}
	for _, a := range result.Alerts {
		name := string(a.Labels["alertname"])
		switch {
		case a.State != prometheus.AlertStateFiring:
		case string(a.Labels["service"]) == service:
			forIt = append(forIt, name)
		default:
			others = append(others, name)
		}
	}
	return forIt, others, nil
}

// unhealthy says which rules Prometheus cannot evaluate.
func (s *stack) unhealthy(ctx context.Context) error {
	result, err := s.api.Rules(ctx, nil)
	if err != nil {
		return fmt.Errorf("Prometheus does not list its rules: %w", err)
	}
	var errs []error
	check := func(name, health, lastError string) {
		if health != string(prometheus.RuleHealthGood) {
			errs = append(errs, fmt.Errorf("the rule %s is %s: %s", name, health, lastError))
		}
	}
	for _, group := range result.Groups {
		for _, rule := range group.Rules {
			switch r := rule.(type) {
			case prometheus.AlertingRule:
				check(r.Name, string(r.Health), r.LastError)
			case prometheus.RecordingRule:
				check(r.Name, string(r.Health), r.LastError)
			}
		}
	}
	return errors.Join(errs...)
}
