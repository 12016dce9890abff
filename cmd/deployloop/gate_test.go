package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// runCommand runs one command and gives its output and exit code; -1: an error
// that has no code of its own.
func runCommand(t *testing.T, c *cobra.Command, arguments ...string) (out, errs string, code int, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetArgs(arguments)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = c.ExecuteContext(ctx)
	var exit exitError
	if errors.As(err, &exit) {
		code = exit.code
	} else if err != nil {
		code = -1
	}
	return stdout.String(), stderr.String(), code, err
}

// gateServer answers each question with the next of the given answers, the
// last one for ever.
func gateServer(t *testing.T, answers ...string) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/gate/argo" || r.URL.Query().Get("service") != "checkout" || r.URL.Query().Get("version") != "1.42.0" {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"the gate's token is missing or wrong","fix":"send it"}`))
			return
		}
		i := min(int(asked.Add(1)), len(answers)) - 1
		_, _ = w.Write([]byte(answers[i]))
	}))
	t.Cleanup(server.Close)
	t.Setenv(envConsoleToken, "0123456789abcdef")
	return server.URL, asked
}

func TestGateExits(t *testing.T) {
	answer := func(verdict, mode string) string {
		text, err := json.Marshal(map[string]any{"verdict": verdict, "mode": mode, "reason": "because of " + verdict, "url": "http://127.0.0.1:8090/deployments/d1"})
		require.NoError(t, err)
		return string(text)
	}
	ask := []string{"--service", "checkout", "--version", "1.42.0"}
	for _, c := range []struct {
		name, answer string
		more         []string
		code         int
	}{
		{"healthy", answer("healthy", "gate"), nil, 0},
		{"exonerated", answer("exonerated", "gate"), nil, 0},
		{"regressed", answer("regressed", "gate"), nil, exitRegressed},
		{"regressed in shadow", answer("regressed", "shadow"), nil, exitRegressed},
		{"regressed in shadow, which is respected", answer("regressed", "shadow"), []string{"--respect-mode"}, 0},
		{"regressed and gated", answer("regressed", "gate"), []string{"--respect-mode"}, exitRegressed},
		{"inconclusive", answer("inconclusive", "gate"), nil, exitUndecided},
		{"inconclusive fails", answer("inconclusive", "gate"), []string{"--on-inconclusive", "fail"}, exitRegressed},
		{"inconclusive passes", answer("inconclusive", "gate"), []string{"--on-inconclusive", "pass"}, 0},
		{"unknown never passes", answer("inconclusive", ""), []string{"--on-inconclusive", "pass", "--respect-mode"}, exitUndecided},
		{"watching", answer("watching", "gate"), nil, exitUndecided},
		{"watching is not inconclusive", answer("watching", "gate"), []string{"--on-inconclusive", "pass"}, exitUndecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := gateServer(t, c.answer)
			out, _, code, err := runCommand(t, newGateCommand(), append(append(ask, "--endpoint", url), c.more...)...)
			require.Equal(t, c.code, code, "%v", err)
			require.Contains(t, out, "because of ")
			require.Contains(t, out, "/deployments/d1")
		})
	}

	// Every mode with every --on-inconclusive, with and without --respect-mode.
	t.Run("in every mode", func(t *testing.T) {
		policies := map[string]int{"wait": exitUndecided, "fail": exitRegressed, "pass": 0}
		for _, mode := range []string{"shadow", "advise", "gate"} {
			for policy, onInconclusive := range policies {
				for verdict, want := range map[string]int{
					"watching": exitUndecided, "healthy": 0, "exonerated": 0, "regressed": exitRegressed, "inconclusive": onInconclusive,
				} {
					for _, respect := range []bool{false, true} {
						if respect && mode != "gate" {
							want = 0
						}
						url, _ := gateServer(t, answer(verdict, mode))
						out, _, code, err := runCommand(t, newGateCommand(), append(ask, "--endpoint", url, "--output", "json", "--on-inconclusive", policy, fmt.Sprintf("--respect-mode=%t", respect))...)
						require.Equal(t, want, code, "%s in %s, %s, respected %t: %v", verdict, mode, policy, respect, err)
						var told gateVerdict
						require.NoError(t, json.Unmarshal([]byte(out), &told), out)
						require.Equal(t, map[int]string{0: "pass", exitRegressed: "fail", exitUndecided: "wait"}[code], told.Decision, "what is said and the exit code are one")
					}
				}
				url, _ := gateServer(t, answer("inconclusive", ""))
				_, _, code, _ := runCommand(t, newGateCommand(), append(ask, "--endpoint", url, "--on-inconclusive", policy, "--respect-mode")...)
				require.Equal(t, exitUndecided, code, "what nobody knows has no mode, and never passes")
			}
		}
	})
	t.Run("waits", func(t *testing.T) {
		url, asked := gateServer(t, answer("inconclusive", ""), answer("watching", "gate"), answer("regressed", "gate"))
		out, progress, code, err := runCommand(t, newGateCommand(), append(ask, "--endpoint", url, "--wait", "20s", "--every", "1s", "--output", "json")...)
		require.Equal(t, exitRegressed, code, "%v", err)
		require.EqualValues(t, 3, asked.Load())
		require.Contains(t, progress, "watching: because of watching")
		var v gateVerdict
		require.NoError(t, json.Unmarshal([]byte(out), &v), "the output is the answer alone")
		require.EqualValues(t, "regressed", v.Verdict)
	})
	t.Run("wait is over", func(t *testing.T) {
		url, asked := gateServer(t, answer("watching", "gate"))
		_, _, code, _ := runCommand(t, newGateCommand(), append(ask, "--endpoint", url, "--wait", "1s", "--every", "1s")...)
		require.Equal(t, exitUndecided, code)
		require.EqualValues(t, 2, asked.Load())
	})
}

// The console is told whose word counts, so that what it says fits the exit code.
func TestGateAsksByMode(t *testing.T) {
	for flag, want := range map[string]string{"--respect-mode=false": "false", "--respect-mode": ""} {
		asked := make(chan string, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.Query().Get("respect_mode")
			_, _ = w.Write([]byte(`{"verdict":"healthy","mode":"gate"}`))
		}))
		_, _, code, err := runCommand(t, newGateCommand(), "--service", "checkout", "--version", "1", "--endpoint", server.URL, flag)
		server.Close()
		require.NoError(t, err)
		require.Zero(t, code)
		require.Equal(t, want, <-asked)
	}
}

func TestGateWithoutAnswer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer other.Close()
	ask := []string{"--service", "checkout", "--version", "1.42.0", "--endpoint"}
	for _, c := range []struct {
		name, url, policy, says string
		code                    int
	}{
		{"gone", gone.URL, "wait", "no console answers", exitNotAsked},
		{"gone, which fails", gone.URL, "fail", "no console answers", exitRegressed},
		{"gone, which passes", gone.URL, "pass", "", 0},
		{"another program", other.URL, "wait", "is the port right?", exitNotAsked},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, notes, code, err := runCommand(t, newGateCommand(), append(ask, c.url, "--on-unavailable", c.policy, "--output", "json")...)
			require.Equal(t, c.code, code)
			require.Contains(t, out, `"verdict":"unavailable"`)
			if c.code == 0 {
				require.Contains(t, notes, "passes without a verdict")
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
	url, _ := gateServer(t, `{"verdict":"healthy"}`)
	t.Setenv(envConsoleToken, "wrong")
	began := time.Now()
	_, _, code, err := runCommand(t, newGateCommand(), append(ask, url, "--wait", "20s")...)
	require.Equal(t, exitNotAsked, code)
	require.ErrorContains(t, err, envConsoleToken)
	require.Less(t, time.Since(began), 10*time.Second, "a wrong token does not become right by waiting")
	for _, wrong := range [][]string{{}, {"--service", "a"}, append(ask, url, "--on-unavailable", "maybe"), append(ask, "ftp://x"), append(ask, url, "--output", "xml")} {
		_, _, code, err := runCommand(t, newGateCommand(), wrong...)
		require.Equal(t, -1, code)
		require.Error(t, err)
	}
}
