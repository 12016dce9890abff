// Package alertmanagertest starts a real Alertmanager for a test, with a
// webhook that records its notifications.
package alertmanagertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/require"
)

// Server is a running Alertmanager. Its address and storage stay the same
// across Stop and Start.
type Server struct {
	URL string

	t       testing.TB
	program string
	args    []string
	log     *lockedBuffer
	command *exec.Cmd
	exited  chan struct{}

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

// Tool finds a program that scripts/install-tools.sh installed.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed: run scripts/install-tools.sh", name)
	}
	return path
}

// Root is the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod above the working directory")
		dir = parent
	}
}

// Start runs an Alertmanager with the shipped examples/alertmanager.yml, whose
// receivers are pointed at the test's webhook and whose waits are shortened.
// It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, program: Tool(t, "alertmanager"), log: &lockedBuffer{}}
	webhook := httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(webhook.Close)

	shipped, err := os.ReadFile(filepath.Join(Root(t), "examples", "alertmanager.yml"))
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

	address := FreeAddress(t)
	s.URL = "http://" + address
	s.args = []string{
		"--config.file=" + path, "--storage.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + address, "--cluster.listen-address=",
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("Alertmanager said:\n%s", s.log)
		}
	})
	s.Start()
	return s
}

// FreeAddress is a loopback address that nothing listened on a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// Start runs the program again after Stop, and waits until it is ready.
func (s *Server) Start() {
	s.t.Helper()
	s.command = exec.Command(s.program, s.args...)
	s.command.Stdout, s.command.Stderr = s.log, s.log
	// It must not outlive a test that is killed.
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(s.t, s.command.Start())
	exited := make(chan struct{})
	s.exited = exited
	command := s.command
	go func() { _ = command.Wait(); close(exited) }()
	require.Eventually(s.t, func() bool {
		response, err := http.Get(s.URL + "/-/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond, "Alertmanager is not ready")
}

// Stop ends the program; it may be started again.
func (s *Server) Stop() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.command.Process.Kill()
		<-s.exited
	}
	s.command = nil
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

// lockedBuffer collects a program's output.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
