package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// clone makes a repository with one commit.
func clone(t *testing.T) (path, revision string) {
	t.Helper()
	path = t.TempDir()
	git := func(arguments ...string) string {
		c := exec.Command("git", append([]string{"-C", path, "-c", "user.name=Mei", "-c", "user.email=mei@example.com"}, arguments...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	require.NoError(t, os.WriteFile(filepath.Join(path, "total.go"), []byte("package cart\n"), 0o600))
	git("add", ".")
	git("commit", "-qm", "Add totals")
	return path, git("rev-parse", "HEAD")
}

// service sends one span of a service, which ended at a time.
func service(t *testing.T, loop *deploylooptest.Loop, end time.Time, attributes map[string]string) {
	t.Helper()
	var list []string
	for key, value := range attributes {
		list = append(list, fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, key, value))
	}
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[%s]},"scopeSpans":[{"spans":[
		{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET /","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`,
		strings.Join(list, ","), end.Add(-time.Millisecond).UnixNano(), end.UnixNano())
	response, err := http.Post(loop.OTLP+"/v1/traces", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// deployments that the loop knows.
func deployments(t *testing.T, loop *deploylooptest.Loop) int {
	t.Helper()
	var list struct{ Deployments []json.RawMessage }
	require.NoError(t, loop.Get("/api/v1/deployments", &list))
	return len(list.Deployments)
}

// whole is a set-up in which nothing is missing.
func whole(t *testing.T) (*deploylooptest.Loop, *alertmanagertest.Server, string) {
	t.Helper()
	am := alertmanagertest.Start(t)
	path, revision := clone(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: 30 * time.Second,
		Anomaly: map[string]any{"repositories": []map[string]string{{"service": "checkout", "path": path}}},
	})
	healthy := map[string]string{"service.name": "checkout", "service.version": "1.0.0", "vcs.ref.head.revision": revision, "deployment.environment.name": "production"}
	loop.Mark(map[string]any{"service": "checkout", "environment": "production", "revision": revision, "version": "1.0.0"})
	service(t, loop, time.Now(), healthy)
	return loop, am, revision
}

// other is a clone that lacks what the first one has.
func other(t *testing.T) string {
	path, _ := clone(t)
	// Another history: the same commit at the same second has the same id.
	c := exec.Command("git", "-C", path, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "--amend", "--reset-author", "--allow-empty", "-m", "Something else")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, gc := range [][]string{{"reflog", "expire", "--expire=now", "--all"}, {"gc", "-q", "--prune=now"}} {
		out, err := exec.Command("git", append([]string{"-C", path}, gc...)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return path
}

// fresh is a repository that nothing was committed to.
func fresh(t *testing.T) string {
	path := t.TempDir()
	out, err := exec.Command("git", "init", "-q", path).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// shallow is a clone that lacks all commits but the newest.
func shallow(t *testing.T) string {
	path := t.TempDir()
	out, err := exec.Command("git", "clone", "-q", "--depth", "1", "file://"+other(t), path).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// answering is a server with one answer to everything.
func answering(t *testing.T, status int, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// proxyTo passes everything to a server.
func proxyTo(t *testing.T, to string) *httputil.ReverseProxy {
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	return proxy
}

// skewed passes everything to a server, and has its clock ahead.
func skewed(t *testing.T, to string, ahead time.Duration) string {
	proxy := proxyTo(t, to)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// passing passes to a server what authenticates itself.
func passing(t *testing.T, to, user, password string) string {
	proxy := proxyTo(t, to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// selfSigned makes a certificate that no authority knows.
func selfSigned(t *testing.T, dir string) (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"deploys.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return certificate, key
}
