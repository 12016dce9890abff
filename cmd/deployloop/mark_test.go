package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func runMark(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	c := newMarkCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(io.Discard)
	c.SetArgs(arguments)
	err := c.ExecuteContext(context.Background())
	return out.String(), err
}

func TestMark(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got = nil
		_ = json.NewDecoder(req.Body).Decode(&got)
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": got["id"]})
	}))
	defer server.Close()
	t.Setenv("DEPLOYLOOP_CICD_URL", server.URL)

	out, err := runMark(t, "--service", "checkout", "--revision", "9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a", "--environment", "production",
		"--status", "succeeded", "--previous-revision", "a1b2c3d", "--id", "build-77", "--url", "https://ci.example/77",
		"--repository", "acme/shop", "--rollback-command", "make undo", "--started-at", "2026-11-23T14:02:00Z")
	require.NoError(t, err)
	require.Equal(t, "recorded: checkout 9f2c1ab in production (build-77)\n", out)
	require.Equal(t, map[string]any{
		"service": "checkout", "revision": "9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a", "environment": "production",
		"status": "succeeded", "previous_revision": "a1b2c3d", "id": "build-77", "url": "https://ci.example/77",
		"repository": "acme/shop", "rollback_command": "make undo", "started_at": "2026-11-23T14:02:00Z",
	}, got)

	out, err = runMark(t, "--service", "checkout", "--version", "1.42.0", "--id", "b", "--output", "json")
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"b"}`, out)
}

func TestMarkRefusesWhatCannotBeRecorded(t *testing.T) {
	for reason, arguments := range map[string][]string{
		"service is missing":             {"--version", "1"},
		"revision or version is missing": {"--service", "checkout"},
		`status "done" is none of`:       {"--service", "checkout", "--version", "1", "--status", "done"},
		"use text or json":               {"--service", "checkout", "--version", "1", "--output", "xml"},
		"give an RFC 3339 time":          {"--service", "checkout", "--version", "1", "--started-at", "now"},
		"is no URL":                      {"--service", "checkout", "--version", "1", "--endpoint", "ftp://x"},
	} {
		_, err := runMark(t, arguments...)
		require.ErrorContains(t, err, reason)
	}
}
