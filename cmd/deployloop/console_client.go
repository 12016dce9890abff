package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// Where the commands that ask find the console.
const (
	envConsole      = "DEPLOYLOOP_CONSOLE_URL"
	envConsoleToken = "DEPLOYLOOP_CONSOLE_TOKEN" // gate::token of the console; no flag, since arguments are seen by all
)

// maxConsoleAnswer bounds what is read of one answer, in bytes.
const maxConsoleAnswer = 32 << 20

// consoleClient asks one console.
type consoleClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// newConsoleClient makes a client of the console at a URL; "" means
// DEPLOYLOOP_CONSOLE_URL, else loopback. User and password may stand in the URL.
func newConsoleClient(at string) (*consoleClient, error) {
	base, err := endpoint.Find(at, envConsole, "http://"+defaultConsole)
	if err != nil {
		return nil, err
	}
	return &consoleClient{base: base, token: os.Getenv(envConsoleToken), http: &http.Client{Timeout: 15 * time.Second}}, nil
}

// refusal is an answer of the console that is not 2xx.
type refusal struct {
	Status  int
	Problem string `json:"error"`
	Fix     string `json:"fix"`
}

func (r refusal) Error() string {
	return fmt.Sprintf("%s (%d); %s", r.Problem, r.Status, r.Fix)
}

// get reads the JSON answer of a path into v.
func (c *consoleClient) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, v)
}

// shown is where the console is, without any secret in it.
func (c *consoleClient) shown() string { return endpoint.Shown(c.base.String()) }

// post sends body as JSON and reads the answer into v.
func (c *consoleClient) post(ctx context.Context, path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, nil, text, v)
}

func (c *consoleClient) do(ctx context.Context, method, path string, query url.Values, body []byte, v any) error {
	target := c.base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("no console answers at %s (%w); start deployloop, or say where it is with --endpoint or %s", c.shown(), endpoint.Cause(err), envConsole)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxConsoleAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.shown(), err)
	}
	if response.StatusCode/100 != 2 {
		r := refusal{Status: response.StatusCode}
		if json.Unmarshal(answer, &r) != nil || r.Problem == "" {
			r.Problem, r.Fix = "answered without a reason", "is "+c.shown()+" the console, and what it asks for (auth) given?"
		}
		if r.Status == http.StatusUnauthorized {
			r.Fix = "set " + envConsoleToken + " to gate::token of the console, or put user and password of its auth into the URL"
		}
		return r
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s answered, but not as a console does: is the port right?", c.shown())
	}
	return nil
}
