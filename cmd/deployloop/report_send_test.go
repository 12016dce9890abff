package main

import (
	"archive/tar"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// receiverStandIn answers as the cicd receiver does and keeps what it was sent;
// receiver/cicdreceiver tests the real one.
func receiverStandIn(t *testing.T, status int, answer string) (endpoint string, query *url.Values, files map[string]string) {
	t.Helper()
	query, files = &url.Values{}, map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		*query = req.URL.Query()
		for archive := tar.NewReader(req.Body); ; {
			entry, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			text, _ := io.ReadAll(archive)
			files[entry.Name] = string(text)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, query, files
}

func TestReportSends(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("GITHUB_ACTIONS", "")
	for name, value := range map[string]string{"GITHUB_REPOSITORY": "acme/shop", "GITHUB_SHA": "9f2c1ab", "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "faster-cart", "GITHUB_RUN_ID": "77"} {
		t.Setenv(name, value)
	}
	file := filepath.Join(t.TempDir(), "TEST-cart.xml")
	require.NoError(t, os.WriteFile(file, []byte(goodReport), 0o600))
	endpoint, query, files := receiverStandIn(t, http.StatusAccepted, `{"reports":2,"tests":2}`)
	out, code := runReport(t, badReport, "--endpoint", endpoint, "--base", "a1b2c3d", "--root", "/work/app", "-", file, "missing.xml")
	require.Equal(t, exitUnreadable, code)
	require.NotContains(t, out, "not sent")
	require.Equal(t, map[string]string{"-": badReport, file: goodReport}, files)
	require.Equal(t, url.Values{
		"repository": {"acme/shop"}, "revision": {"9f2c1ab"}, "ref": {"faster-cart"}, "base": {"a1b2c3d"}, "run_id": {"77"}, "root": {"/work/app"},
	}, *query)

	clear(files)
	_, code = runReport(t, "", "--endpoint", endpoint, "--offline", file)
	require.Zero(t, code)
	require.Empty(t, files, "--offline tells nobody")
}

// What the receiver thinks of a report changes no exit code.
func TestReportThatCannotBeSent(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("GITHUB_ACTIONS", "")
	file := filepath.Join(t.TempDir(), "TEST-cart.xml")
	require.NoError(t, os.WriteFile(file, []byte(goodReport), 0o600))
	endpoint, _, _ := receiverStandIn(t, http.StatusBadRequest, `{"reports":1,"tests":1,"broken":1}`)
	out, code := runReport(t, "", "--endpoint", endpoint, "--revision", "a", file)
	require.Zero(t, code)
	require.NotContains(t, out, "not sent")

	endpoint, _, _ = receiverStandIn(t, http.StatusInternalServerError, "no")
	out, code = runReport(t, "", "--endpoint", endpoint, "--revision", "a", file)
	require.Zero(t, code)
	require.Contains(t, out, "not sent: "+endpoint+": no (500)")
}

// In a pull request's workflow the commit is the branch's head, not the merge that
// GitHub makes for the run.
func TestContextOfAPullRequest(t *testing.T) {
	event := filepath.Join(t.TempDir(), "event.json")
	require.NoError(t, os.WriteFile(event, []byte(`{"pull_request":{"head":{"sha":"bbbbbbb1"},"base":{"sha":"aaaaaaa1"}}}`), 0o600))
	for name, value := range map[string]string{
		"GITHUB_EVENT_PATH": event, "GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": "ccccccc1", "GITHUB_HEAD_REF": "faster-cart", "CI": "true",
	} {
		t.Setenv(name, value)
	}
	var x ciContext
	x.complete(t.Context())
	require.Equal(t, "bbbbbbb1", x.revision)
	require.Equal(t, "aaaaaaa1", x.base)
	require.Equal(t, "faster-cart", x.ref)
	require.NoError(t, os.WriteFile(event, []byte(`{"pull_request":{"head":{"sha":"bbbbbbb1","label":"ada:main","repo":{"id":2}},"base":{"sha":"aaaaaaa1","repo":{"id":1}}}}`), 0o600))
	t.Setenv("GITHUB_HEAD_REF", "main")
	x = ciContext{}
	x.complete(t.Context())
	require.Equal(t, "ada:main", x.ref, "a fork's main is a branch like any other")
	t.Setenv("GITHUB_EVENT_NAME", "push")
	x = ciContext{}
	x.complete(t.Context())
	require.Equal(t, "ccccccc1", x.revision)
}
