package deploylooptest

import (
	"cmp"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/servertest"
)

// Places moves shipped configurations to addresses that are free on this
// machine: the same port of several files becomes the same address, so that
// they still find each other. Nothing else of them changes.
type Places struct {
	t  testing.TB
	mu sync.Mutex
	at map[string]string // port → address
}

// NewPlaces knows no address yet.
func NewPlaces(t testing.TB) *Places { return &Places{t: t, at: map[string]string{}} }

// Set says where the server of a port is that runs already.
func (p *Places) Set(port, serverURL string) {
	p.t.Helper()
	u, err := url.Parse(serverURL)
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[port] = u.Host
}

// Of is the address that a port of the shipped files became.
func (p *Places) Of(port string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at[port] == "" {
		p.at[port] = servertest.FreeAddress(p.t)
	}
	return p.at[port]
}

// addresses are those of a machine alone, and of the services of the compose
// and Kubernetes files.
var addresses = regexp.MustCompile(`\b(127\.0\.0\.1|0\.0\.0\.0|deployloop|alertmanager|prometheus|grafana)((?:\.[a-z]+)*\.svc)?:(\d{4,5})\b`)

// hostAndPort is how the Collector's own telemetry writes an address.
var hostAndPort = regexp.MustCompile(`host: 127\.0\.0\.1, port: (\d+)`)

// Move gives a shipped text with its addresses moved. A listener on every
// address stays one.
func (p *Places) Move(text []byte) []byte {
	text = hostAndPort.ReplaceAllFunc(text, func(address []byte) []byte {
		_, port, _ := net.SplitHostPort(p.Of(string(hostAndPort.FindSubmatch(address)[1])))
		return []byte("host: 127.0.0.1, port: " + port)
	})
	return addresses.ReplaceAllFunc(text, func(address []byte) []byte {
		parts := addresses.FindSubmatch(address)
		moved := p.Of(string(parts[3]))
		if string(parts[1]) == "0.0.0.0" {
			_, port, _ := net.SplitHostPort(moved)
			moved = "0.0.0.0:" + port
		}
		return []byte(moved)
	})
}

// File writes a shipped file, moved, into a temporary folder. path is relative
// to the repository.
func (p *Places) File(path string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(servertest.Root(p.t), path))
	require.NoError(p.t, err)
	moved := filepath.Join(p.t.TempDir(), filepath.Base(path))
	require.NoError(p.t, os.WriteFile(moved, p.Move(text), 0o600))
	return moved
}

// Example is a shipped configuration to run.
type Example struct {
	Program string // its binary; "": deployloop
	File    string // relative to the repository
	Moved   string // or where it was moved to
	Places  *Places
	Env     []string // NAME=value, besides DEPLOYLOOP_STATE_DIR
	User    string   // "user:password" for the console
	OTLP    string   // port of OTLP over HTTP; "": 4318
	Console string   // of the console; "": 8090
	Set     []string // further configurations, e.g. yaml:connectors::anomaly::heartbeat: 2s
}

// StartExample runs a shipped configuration on its moved addresses, and waits
// until all of them answer. It ends with the test.
func StartExample(t testing.TB, e Example) *Loop {
	t.Helper()
	moved := e.Moved
	if moved == "" {
		moved = e.Places.File(e.File)
	}
	text, err := os.ReadFile(moved)
	require.NoError(t, err)
	program := e.Program
	if program == "" {
		program = Program(t)
	}
	args := []string{"--config", moved}
	for _, set := range e.Set {
		args = append(args, "--config", set)
	}
	if !strings.Contains(string(text), "telemetry:") { // of the Collector: it would listen on 8888
		args = append(args, "--config", "yaml:service::telemetry::metrics::level: none")
	}
	e.OTLP, e.Console = cmp.Or(e.OTLP, "4318"), cmp.Or(e.Console, "8090")
	l := &Loop{OTLP: "http://" + e.Places.Of(e.OTLP), State: t.TempDir(), t: t}
	var listens []string
	if strings.Contains(string(text), "otlp:") {
		listens = append(listens, l.OTLP)
	}
	if strings.Contains(string(text), "cicd:") {
		l.CICD = "http://" + e.Places.Of("8088")
		listens = append(listens, l.CICD)
	}
	if strings.Contains(string(text), "console:") {
		host := e.Places.Of(e.Console)
		l.Console = "http://" + host
		if e.User != "" {
			l.Console = "http://" + e.User + "@" + host
		}
		listens = append(listens, l.Console)
	}
	if strings.Contains(string(text), "prometheus:") {
		l.Metrics = "http://" + e.Places.Of("8889")
	}
	l.program, l.configs = program, args
	l.env = append(append(os.Environ(), "DEPLOYLOOP_STATE_DIR="+l.State), e.Env...)
	l.Process = servertest.Run(t, filepath.Base(program)+" "+filepath.Base(moved), l.serve, func() bool {
		for _, at := range listens {
			if !listening(at) {
				return false
			}
		}
		return true
	})
	return l
}
