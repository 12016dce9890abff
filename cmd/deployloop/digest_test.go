package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestDigest(t *testing.T) {
	till := time.Date(2026, 11, 23, 14, 6, 0, 0, time.UTC)
	want := event.Digest{
		From: till.Add(-48 * time.Hour), Till: till, Deployments: 3,
		WouldAlert: []event.DigestAlert{{ID: "3f9c0a1b2d4e", Service: "checkout", Summary: "checkout errors 0.21% → 4.8%"}},
		Notices:    []event.Notice{{Kind: event.NoticeDark, Service: "cart", Detail: "cart 2 serves no request", Since: till, At: till}},
	}
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		require.NoError(t, json.NewEncoder(w).Encode(map[string]any{"digest": want}))
	}))
	defer server.Close()
	t.Setenv(envConsole, server.URL)

	out, _, code, err := runCommand(t, newDigestCommand(), "--since", "48h")
	require.Zero(t, code, "%v", err)
	require.Equal(t, "/api/v1/digest?since=48h0m0s", asked)
	require.Equal(t, `2026-11-21 14:06Z to 2026-11-23 14:06Z: 3 deployments watched, 1 would have alerted, nothing open

Would have alerted (mode shadow):
  3f9c0a1b2d4e  checkout errors 0.21% → 4.8%

Nobody said:
  dark          cart 2 serves no request
`, out)

	out, _, code, err = runCommand(t, newDigestCommand(), "--output", "json")
	require.Zero(t, code, "%v", err)
	var got event.Digest
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, want, got)

	_, _, _, err = runCommand(t, newDigestCommand(), "--since", "-1h")
	require.ErrorContains(t, err, "above zero")
	_, _, _, err = runCommand(t, newDigestCommand(), "--output", "yaml")
	require.ErrorContains(t, err, "text or json")
}

func TestDigestOfSomethingElse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) }))
	defer server.Close()
	_, _, _, err := runCommand(t, newDigestCommand(), "--endpoint", server.URL)
	require.ErrorContains(t, err, "is the port right?")
}
