package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/wording"
)

// Server is what a component talks to, by the client that it uses.
type Server struct {
	Key    string // of its address in the configuration: "exporters::alertmanager::endpoints"
	Kind   string // in words: "Alertmanager"
	URL    string // its base
	Token  string // sent as bearer token; "": as the client does
	Client *http.Client
	Start  string // how to have it listen; "": by its own means
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 8 << 20

// answer of a server.
type answer struct {
	status int
	body   []byte
}

// said is the answer's text in one line: what an error page says.
func (a answer) said() string {
	text := string(a.body)
	var told struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(a.body, &told) == nil && told.Message+told.Error != "" {
		text = told.Message + told.Error
	}
	return fmt.Sprintf("%d: %s", a.status, wording.OneLine(strings.TrimSpace(text), 200))
}

// isHTML: a page for people, where an API was asked.
func (a answer) isHTML() bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.ToLower(a.body[:min(len(a.body), 64)])), []byte("<"))
}

// call asks, with a body as JSON where there is one.
func (s Server) call(ctx context.Context, method, path string, query url.Values, body any) (answer, error) {
	header := http.Header{}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
		header.Set("Content-Type", "application/json")
	}
	return s.send(ctx, method, path, query, text, header)
}

func (s Server) send(ctx context.Context, method, path string, query url.Values, body []byte, header http.Header) (answer, error) {
	base, err := url.Parse(s.URL)
	if err != nil {
		return answer{}, err
	}
	target := base.JoinPath(path)
	if path == "" {
		target = base
	}
	if len(query) > 0 {
		target.RawQuery = query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	if s.Token != "" {
		request.Header.Set("Authorization", "Bearer "+s.Token)
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answer{response.StatusCode, got}, err
}

// unreachable is the finding of a call that brought no answer.
func (s Server) unreachable(err error) Finding {
	cause, why := NetworkCause(err)
	fix := fmt.Sprintf("see that %s runs there, or correct %s", s.Kind, s.Key)
	switch cause {
	case CauseNothingListens:
		if s.Start != "" {
			fix = s.Start
		}
	case CauseTimeout:
		fix = fmt.Sprintf("see whether a firewall drops it, or %s is overloaded; correct %s, or give it longer: --timeout 30s", s.Kind, s.Key)
	case CauseTLS:
		fix = "set " + parent(s.Key) + "::tls::ca_file to the authority that signed it, and use the scheme (http, https) that it speaks"
	}
	return Fail(cause, fmt.Sprintf("%s cannot be reached at %s: %s", s.Kind, endpoint.Shown(s.URL), why), fix)
}

// parent of a configuration key.
func parent(key string) string {
	if i := strings.LastIndex(key, "::"); i > 0 {
		return key[:i]
	}
	return key
}

// refused is the finding of an answer that is none of success, where nothing
// more is known of what it means.
func (s Server) refused(a answer, doing string) Finding {
	switch {
	case a.status == http.StatusUnauthorized:
		return Fail(CauseUnauthenticated, fmt.Sprintf("%s wants credentials for %s (%s)", s.Kind, doing, a.said()),
			"set "+parent(s.Key)+"::auth (an authenticator extension) or ::headers to what it asks for")
	case a.status == http.StatusForbidden:
		return Fail(CauseNoPermission, fmt.Sprintf("%s does not allow %s (%s)", s.Kind, doing, a.said()), "give the credentials of "+parent(s.Key)+" that permission")
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.isHTML():
		return s.wrong(a)
	case a.status >= 500:
		return Fail(CauseServerError, fmt.Sprintf("%s failed at %s (%s)", s.Kind, doing, a.said()), "see its log")
	}
	return Fail(CauseRefused, fmt.Sprintf("%s refused %s (%s)", s.Kind, doing, a.said()), "do what its answer says; its log may say more")
}

// wrong is the finding of a server that is another one.
func (s Server) wrong(a answer) Finding {
	what := fmt.Sprintf("what answers at %s is no %s (%d)", endpoint.Shown(s.URL), s.Kind, a.status)
	return Fail(CauseWrongServer, what, fmt.Sprintf("correct %s: its host, port and path", s.Key))
}

// NetworkCause tells why no answer came, as a cause and in words.
func NetworkCause(err error) (Cause, string) {
	err = endpoint.Cause(err)
	var (
		dns       *net.DNSError
		timeout   net.Error
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	text := wording.OneLine(err.Error(), 200)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseNothingListens, "nothing listens there (connection refused)"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return CauseTimeout, "no answer in time"
	case errors.As(err, &dns):
		return CauseUnknownHost, fmt.Sprintf("the name %q is not known", dns.Name)
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &record),
		strings.Contains(text, "server gave HTTP response to HTTPS client"), strings.Contains(text, "tls:"):
		return CauseTLS, text
	}
	return CauseConnectionFailed, text
}
