// Package alertmanagertest starts a real Alertmanager for a test, with a
// webhook that records its notifications.
package alertmanagertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/servertest"
)

// Server is a running Alertmanager. Its address and storage stay the same
// across Stop and Start.
type Server struct {
	*servertest.Process
	URL string

	mu            sync.Mutex
	notifications []Notification
}

// Notification is what Alertmanager sent to a webhook receiver.
type Notification struct {
	Receiver string          `json:"receiver"`
	Status   string          `json:"status"` // firing | resolved
	GroupKey string          `json:"groupKey"`
	Alerts   []NotedAlert    `json:"alerts"`
	At       time.Time       `json:"-"`
	Labels   models.LabelSet `json:"groupLabels"`
}

// NotedAlert is one alert of a notification.
type NotedAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Fingerprint string            `json:"fingerprint"`
}

// Start runs an Alertmanager with the shipped examples/alertmanager.yml, whose
// receivers are pointed at the test's webhook and whose waits are shortened.
// It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{}
	webhook := httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(webhook.Close)

	shipped, err := os.ReadFile(filepath.Join(servertest.Root(t), "examples", "alertmanager.yml"))
	require.NoError(t, err)
	config := strings.NewReplacer(
		"http://127.0.0.1:5001", webhook.URL,
		"group_wait: 2s", "group_wait: 1s",
		"group_interval: 30s", "group_interval: 1s",
	).Replace(string(shipped))
	require.NotContains(t, config, ":5001")
	dir := t.TempDir()
	path := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))

	address := servertest.FreeAddress(t)
	s.URL = "http://" + address
	program := servertest.Tool(t, "alertmanager")
	s.Process = servertest.Run(t, "Alertmanager", func() *exec.Cmd {
		return exec.Command(program, "--config.file="+path, "--storage.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+address, "--cluster.listen-address=")
	}, func() bool { return servertest.Answers(s.URL + "/-/ready") })
	return s
}

// Alerts are the alerts that are open now, inhibited ones included.
func (s *Server) Alerts() (models.GettableAlerts, error) {
	response, err := http.Get(s.URL + "/api/v2/alerts?active=true&inhibited=true&silenced=true")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET alerts: %d %s", response.StatusCode, body)
	}
	var alerts models.GettableAlerts
	return alerts, json.Unmarshal(body, &alerts)
}

// Find gives the open alerts with these labels.
func (s *Server) Find(labels map[string]string) models.GettableAlerts {
	alerts, err := s.Alerts()
	if err != nil {
		return nil
	}
	var found models.GettableAlerts
	for _, alert := range alerts {
		matches := true
		for name, value := range labels {
			matches = matches && alert.Labels[name] == value
		}
		if matches {
			found = append(found, alert)
		}
	}
	return found
}

// Notifications are those sent so far, oldest first.
func (s *Server) Notifications() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Notification(nil), s.notifications...)
}

// Resolved finds the alert with these labels in a notification of its end.
func (s *Server) Resolved(labels map[string]string) (NotedAlert, bool) {
	for _, n := range s.Notifications() {
		for _, alert := range n.Alerts {
			if alert.Status != "resolved" {
				continue
			}
			matches := true
			for name, value := range labels {
				matches = matches && alert.Labels[name] == value
			}
			if matches {
				return alert, true
			}
		}
	}
	return NotedAlert{}, false
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	var n Notification
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.At = time.Now()
	s.mu.Lock()
	s.notifications = append(s.notifications, n)
	s.mu.Unlock()
}
