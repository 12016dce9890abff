// Package cicdclient speaks to the cicd receiver for the commands that tell it
// something.
package cicdclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/report"
)

// Where commands find their receiver.
const (
	EnvEndpoint     = "DEPLOYLOOP_CICD_URL"
	EnvToken        = "DEPLOYLOOP_CICD_TOKEN" // for a receiver with bearer token auth; no flag, since arguments are seen by all
	DefaultEndpoint = "http://127.0.0.1:8088"
)

const (
	maxAnswer   = 64 << 10
	maxAttempts = 5
	maxWait     = 10 * time.Second // between two attempts
	oneAttempt  = 30 * time.Second // of anything but reports, which may be large
)

// Client sends to one receiver.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	wait  func(context.Context, time.Duration) error
}

// New makes a client of the receiver at a URL; "" means DEPLOYLOOP_CICD_URL,
// else loopback. The token comes from DEPLOYLOOP_CICD_TOKEN.
func New(at string) (*Client, error) {
	base, err := endpoint.Find(at, EnvEndpoint, DefaultEndpoint)
	if err != nil {
		return nil, err
	}
	return &Client{base: base, token: os.Getenv(EnvToken), http: &http.Client{}, wait: wait}, nil
}

// Endpoint is where the client sends, without any secret in it.
func (c *Client) Endpoint() string { return endpoint.Shown(c.base.String()) }

// Mark records a deployment and returns the id by which it can be found.
func (c *Client) Mark(ctx context.Context, request cicd.DeploymentRequest) (string, error) {
	if err := request.Validate(); err != nil {
		return "", err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	answer, err := c.Post(ctx, "/v1/deployments", "application/json", body)
	if err != nil {
		return "", err
	}
	var taken struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &taken); err != nil || taken.ID == "" {
		return "", fmt.Errorf("%s answered, but not as a cicd receiver does: is the port right?", c.Endpoint())
	}
	return taken.ID, nil
}

// Post sends a body to a path of the receiver and returns the answer's. While the
// receiver cannot take it (503, or 429 of a proxy) it is sent again, a few times,
// until ctx ends.
func (c *Client) Post(ctx context.Context, path, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maxAttempts*(oneAttempt+maxWait))
	defer cancel()
	return c.repeat(ctx, func(ctx context.Context) ([]byte, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, oneAttempt)
		defer cancel()
		return c.post(ctx, c.base.JoinPath(path), contentType, bytes.NewReader(body))
	})
}

// Report sends reports of a build or test run: open gives the body, one report or
// a tar archive of them, anew for each attempt. query says what was tested, as
// POST /v1/reports takes it. A report that could not be read whole is no error;
// the answer names it.
func (c *Client) Report(ctx context.Context, query url.Values, open func() (io.ReadCloser, error)) (report.Taken, error) {
	to := c.base.JoinPath("/v1/reports")
	to.RawQuery = query.Encode()
	var taken report.Taken
	answer, err := c.repeat(ctx, func(ctx context.Context) ([]byte, time.Duration, error) {
		body, err := open()
		if err != nil {
			return nil, -1, err
		}
		defer body.Close()
		return c.post(ctx, to, "application/octet-stream", body)
	})
	refused := new(refusal)
	if errors.As(err, &refused) && refused.status == http.StatusBadRequest && json.Unmarshal(refused.answer, &taken) == nil && taken.Broken > 0 {
		return taken, nil
	}
	if err != nil {
		return taken, err
	}
	if err := json.Unmarshal(answer, &taken); err != nil || taken.Reports == 0 {
		return taken, fmt.Errorf("%s answered, but not as a cicd receiver does: is the port right?", c.Endpoint())
	}
	return taken, nil
}

// repeat makes one attempt after another while the receiver says it cannot now.
func (c *Client) repeat(ctx context.Context, once func(context.Context) (answer []byte, again time.Duration, err error)) ([]byte, error) {
	var refusal error
	for attempt := range maxAttempts {
		answer, again, err := once(ctx)
		if err == nil || again < 0 {
			return answer, err
		}
		refusal = err
		if attempt == maxAttempts-1 {
			break
		}
		if again == 0 {
			again = time.Second << attempt
		}
		if err := c.wait(ctx, min(again, maxWait)); err != nil {
			return nil, fmt.Errorf("%w; gave up waiting: %w", refusal, err)
		}
	}
	return nil, fmt.Errorf("%w; gave up after %d attempts", refusal, maxAttempts)
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	answer []byte
	words  string
}

func (r *refusal) Error() string { return r.words }

// post sends once. again is how long to wait before sending again: 0 when the
// receiver did not say, negative when it is no use.
func (c *Client) post(ctx context.Context, to *url.URL, contentType string, body io.Reader) (answer []byte, again time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), body)
	if err != nil {
		return nil, -1, err
	}
	request.Header.Set("Content-Type", contentType)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, -1, fmt.Errorf("no deployloop answers at %s (%w); start it, or say where it is with --endpoint or %s", c.Endpoint(), endpoint.Cause(err), EnvEndpoint)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, -1, fmt.Errorf("the answer of %s broke off: %w", c.Endpoint(), err)
	}
	if response.StatusCode/100 == 2 {
		return answer, -1, nil
	}
	reason, _, _ := strings.Cut(strings.TrimSpace(string(answer)), "\n")
	if reason == "" {
		reason = "no reason given"
	}
	err = &refusal{response.StatusCode, answer, fmt.Sprintf("%s: %s (%d)", c.Endpoint(), strings.ToValidUTF8(printable(reason), ""), response.StatusCode)}
	switch {
	case response.StatusCode == http.StatusUnauthorized && c.token == "":
		err = fmt.Errorf("%w; set %s", err, EnvToken)
	case response.StatusCode == http.StatusUnauthorized:
		err = fmt.Errorf("%w; %s is not its token", err, EnvToken)
	case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusMethodNotAllowed:
		err = &refusal{response.StatusCode, answer, fmt.Sprintf("%s has nothing at %s (%d): is it a cicd receiver, and is the port right?", c.Endpoint(), "/"+strings.TrimPrefix(strings.TrimPrefix(to.Path, c.base.Path), "/"), response.StatusCode)}
	}
	switch response.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, time.Duration(max(seconds, 0)) * time.Second, err
	}
	return nil, -1, err
}

// printable keeps what some other server answered from moving the cursor.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 300)]
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
