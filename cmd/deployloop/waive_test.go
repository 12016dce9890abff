package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWaive(t *testing.T) {
	var path string
	var got map[string]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.Method + " " + r.URL.EscapedPath()
		_ = json.NewDecoder(r.Body).Decode(&got)
		if got["until"] == "2020-01-01" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"until 2020-01-01 is past","fix":"name a later day"}`))
			return
		}
		_, _ = w.Write([]byte(`{"anomaly":{"id":"a/1","kind":"deployment","service":"checkout","closure":{"reason":"waived","detail":"known","by":"Ada","until":"2026-12-01T23:59:59Z","at":"2026-11-23T14:06:00Z"}}}`))
	}))
	defer server.Close()
	t.Setenv(envConsole, server.URL)

	out, _, code, err := runCommand(t, newWaiveCommand(), "a/1", "--until", "2026-12-01", "--reason", "known", "--by", "Ada")
	require.Zero(t, code, "%v", err)
	require.Equal(t, "POST /api/v1/anomalies/a%2F1/waive", path)
	require.Equal(t, map[string]string{"until": "2026-12-01", "reason": "known", "by": "Ada"}, got)
	require.Contains(t, out, "Waived by Ada until")

	_, _, _, err = runCommand(t, newWaiveCommand(), "a1", "--until", "2020-01-01", "--reason", "known")
	require.ErrorContains(t, err, "is past (400); name a later day")
	_, _, _, err = runCommand(t, newWaiveCommand(), "a1", "--until", "2026-12-01")
	require.ErrorContains(t, err, "--reason")
}
