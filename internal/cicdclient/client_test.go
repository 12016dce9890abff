package cicdclient

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
)

// serve answers with one reply after another, the last for ever.
func serve(t *testing.T, replies ...func(http.ResponseWriter, *http.Request)) (client *Client, calls *int, waited *[]time.Duration) {
	t.Helper()
	calls, waited = new(int), new([]time.Duration)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		reply := replies[min(*calls, len(replies)-1)]
		*calls++
		reply(w, req)
	}))
	t.Cleanup(server.Close)
	client, err := New(server.URL)
	require.NoError(t, err)
	client.wait = func(_ context.Context, d time.Duration) error { *waited = append(*waited, d); return nil }
	return client, calls, waited
}

func status(code int, line string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		if len(header) == 2 {
			w.Header().Set(header[0], header[1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, line+"\n")
	}
}

var deployment = cicd.DeploymentRequest{Service: "checkout", Version: "1.42.0"}

func TestMarkSendsTheRequest(t *testing.T) {
	t.Setenv(EnvToken, "hush")
	client, calls, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || req.URL.Path != "/v1/deployments" || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("Authorization") != "Bearer hush" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		body, _ := io.ReadAll(req.Body)
		request, err := cicd.ParseDeploymentRequest(body)
		if err != nil || request.Service != "checkout" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"api-1"}`)
	})
	id, err := client.Mark(context.Background(), deployment)
	require.NoError(t, err)
	require.Equal(t, "api-1", id)
	require.Equal(t, 1, *calls)
}

func TestBusyReceiverIsAskedAgain(t *testing.T) {
	var bodies []string
	remember := func(reply func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			bodies = append(bodies, string(body))
			reply(w, req)
		}
	}
	client, calls, waited := serve(t,
		remember(status(503, "the logs pipeline cannot take it now", "Retry-After", "5")),
		remember(status(503, "busy", "Retry-After", "9999")),
		remember(status(503, "busy")),
		remember(status(202, `{"id":"x"}`)))
	id, err := client.Mark(context.Background(), deployment)
	require.NoError(t, err)
	require.Equal(t, "x", id)
	require.Equal(t, 4, *calls)
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 4 * time.Second}, *waited)
	require.Equal(t, bodies[0], bodies[3])
}

func TestErrorsNameTheFix(t *testing.T) {
	for name, c := range map[string]struct {
		reply  func(http.ResponseWriter, *http.Request)
		reason string
		calls  int
	}{
		"refused":         {status(400, `unknown key "x"`), `unknown key "x" (400)`, 1},
		"unauthenticated": {status(401, "not authenticated"), "set DEPLOYLOOP_CICD_TOKEN", 1},
		"another port":    {status(405, "{\n}"), "has nothing at /v1/deployments (405): is it a cicd receiver, and is the port right?", 1},
		"always busy":     {status(503, "busy"), "gave up after 5 attempts", 5},
		"another server":  {status(200, "<html>"), "is the port right?", 1},
		"escapes":         {status(500, "a\x1b[31mb"), "a[31mb (500)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			client, calls, _ := serve(t, c.reply)
			_, err := client.Mark(context.Background(), deployment)
			require.ErrorContains(t, err, c.reason)
			require.Equal(t, c.calls, *calls)
		})
	}
}

func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := New(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	_, err = client.Mark(context.Background(), deployment)
	require.ErrorContains(t, err, "no deployloop answers at "+server.URL)
	require.ErrorContains(t, err, "--endpoint or DEPLOYLOOP_CICD_URL")
}

func TestEndpoint(t *testing.T) {
	t.Setenv(EnvEndpoint, "https://cicd.example")
	client, err := New("")
	require.NoError(t, err)
	require.Equal(t, "https://cicd.example", client.Endpoint())
	t.Setenv(EnvEndpoint, "")
	client, err = New("")
	require.NoError(t, err)
	require.Equal(t, DefaultEndpoint, client.Endpoint())
	for _, bad := range []string{"ftp://x", "http://", "::"} {
		_, err = New(bad)
		require.ErrorContains(t, err, "is no URL", bad)
	}
}

func TestInvalidRequestIsNotSent(t *testing.T) {
	client, calls, _ := serve(t, status(202, `{"id":"x"}`))
	_, err := client.Mark(context.Background(), cicd.DeploymentRequest{Service: "checkout"})
	require.ErrorContains(t, err, "revision or version is missing")
	require.Zero(t, *calls)
}
