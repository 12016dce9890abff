package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// pager is what reaches the person on call: alerts as Alertmanager tells them.
type pager struct {
	url  string // of the Alertmanager that deployloop tells
	kind string // in words, for the terminal
	stop func()

	mu     sync.Mutex
	alerts []*page // in order of arrival
}

// page is one alert with all that happened to it.
type page struct {
	Labels      map[string]string
	Annotations map[string]string
	FiredAt     time.Time
	ResolvedAt  time.Time // zero while it fires
}

// newPager uses the Alertmanager at url; without one it starts the program
// where there is one, else it receives in its place.
func newPager(ctx context.Context, url, dir string, log io.Writer) (*pager, error) {
	p := &pager{stop: func() {}}
	if url != "" {
		p.url, p.kind = strings.TrimRight(url, "/"), "your Alertmanager"
		polling, cancel := context.WithCancel(ctx)
		p.stop = cancel
		if err := p.poll(polling); err != nil {
			cancel()
			return nil, fmt.Errorf("Alertmanager does not answer: %w", err)
		}
		go p.keepPolling(polling)
		return p, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/alerts", p.receive)
	mux.HandleFunc("POST /page", p.notified)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with stop
	p.url, p.kind = "http://"+listener.Addr().String(), "no Alertmanager found: the demo receives in its place what one would be told"
	p.stop = func() { _ = server.Close() }

	program := findProgram("alertmanager")
	if program == "" {
		return p, nil
	}
	address, err := freeAddress("127.0.0.1:9093")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(alertmanagerConfig, p.url+"/page")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	child, err := start(program, []string{
		"--config.file=" + config, "--storage.path=" + filepath.Join(dir, "alertmanager"),
		"--web.listen-address=" + address, "--cluster.listen-address=",
	}, nil, log)
	if err != nil {
		return nil, err
	}
	p.url, p.kind = "http://"+address, "a real Alertmanager"
	p.stop = func() { child.stop(); _ = server.Close() }
	if err := untilReady(ctx, "Alertmanager", p.url, child); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// The roll-up silences its symptoms; the person on call is told at once.
const alertmanagerConfig = `route:
  receiver: on-call
  group_by: [service, environment, deployment]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
inhibit_rules:
  - source_matchers: [alertname="DeployRegressed"]
    target_matchers: [alertname="DeployRegression"]
    equal: [service, environment, deployment]
  - source_matchers: [alertname="DeployRegressed"]
    target_matchers: [alertname="DeployRegressedOpen"]
    equal: [service, environment]
receivers:
  - name: on-call
    webhook_configs:
      - url: %s
        send_resolved: true
`

// receive stands in for Alertmanager's POST /api/v2/alerts.
func (p *pager) receive(w http.ResponseWriter, r *http.Request) {
	var alerts []struct {
		Labels, Annotations map[string]string
		EndsAt              time.Time
	}
	if !decode(w, r, &alerts) {
		return
	}
	now := time.Now()
	for _, a := range alerts {
		p.observe(a.Labels, a.Annotations, !a.EndsAt.IsZero() && !a.EndsAt.After(now), now)
	}
}

// notified is Alertmanager's webhook: what a person would be paged with.
func (p *pager) notified(w http.ResponseWriter, r *http.Request) {
	var notification struct {
		Alerts []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	if !decode(w, r, &notification) {
		return
	}
	now := time.Now()
	for _, a := range notification.Alerts {
		p.observe(a.Labels, a.Annotations, a.Status == "resolved", now)
	}
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// keepPolling watches an Alertmanager that notifies others than the demo.
func (p *pager) keepPolling(ctx context.Context) {
	for pause(ctx, 500*time.Millisecond) == nil {
		_ = p.poll(ctx) // an outage shows as an alert that does not come
	}
}

// held is an alert that is open in an Alertmanager, silenced and inhibited ones
// included.
type held struct{ Labels, Annotations map[string]string }

func (p *pager) held(ctx context.Context) (alerts []held, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v2/alerts", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return alerts, json.NewDecoder(io.LimitReader(answer.Body, 32<<20)).Decode(&alerts)
}

// holds says whether an alert of this name is open for a service.
func (p *pager) holds(ctx context.Context, name, service string) (bool, error) {
	alerts, err := p.held(ctx)
	return slices.ContainsFunc(alerts, func(a held) bool { return a.Labels["alertname"] == name && a.Labels["service"] == service }), err
}

func (p *pager) poll(ctx context.Context) error {
	alerts, err := p.held(ctx)
	if err != nil {
		return err
	}
	now, firing := time.Now(), map[string]bool{}
	for _, a := range alerts {
		if strings.HasPrefix(a.Labels["alertname"], "DeployRegress") {
			firing[key(a.Labels)] = true
			p.observe(a.Labels, a.Annotations, false, now)
		}
	}
	// Its API lists no resolved alert: one that is gone has resolved.
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.alerts {
		if !firing[key(a.Labels)] && a.ResolvedAt.IsZero() {
			a.ResolvedAt = now
		}
	}
	return nil
}

func key(labels map[string]string) string {
	text, _ := json.Marshal(labels) // sorted by name
	return string(text)
}

func (p *pager) observe(labels, annotations map[string]string, resolved bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key(labels)
	for _, a := range p.alerts {
		if key(a.Labels) != k {
			continue
		}
		a.Annotations = annotations
		if resolved && a.ResolvedAt.IsZero() {
			a.ResolvedAt = now
		}
		return
	}
	a := &page{Labels: labels, Annotations: annotations, FiredAt: now}
	if resolved {
		a.ResolvedAt = now
	}
	p.alerts = append(p.alerts, a)
}

// of lists the alerts of a deployment, roll-up first.
func (p *pager) of(deployment string) []page {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rollUps, symptoms []page
	for _, a := range p.alerts {
		switch {
		case a.Labels["deployment"] != deployment:
		case a.Labels["alertname"] == "DeployRegressed":
			rollUps = append(rollUps, *a)
		default:
			symptoms = append(symptoms, *a)
		}
	}
	return append(rollUps, symptoms...)
}

// roll-up of a deployment, if it was told.
func (p *pager) rollUp(deployment string) (page, bool) {
	for _, a := range p.of(deployment) {
		if a.Labels["alertname"] == "DeployRegressed" {
			return a, true
		}
	}
	return page{}, false
}
