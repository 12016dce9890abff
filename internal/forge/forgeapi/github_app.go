package forgeapi

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v89/github"
)

// App is a GitHub App that is installed on the repositories to write to.
type App struct {
	ID           string // its client id, or its number
	Installation int64
	PrivateKey   []byte // PEM
}

// The longest life that GitHub grants the app's own token is ten minutes; a
// minute of that is left for clocks that differ. An installation's token lives
// an hour and is renewed when less than tokenMargin is left.
const (
	appTokenLife = 9 * time.Minute
	tokenMargin  = 2 * time.Minute
)

// appAuth signs requests as an app: with the token of its installation, which
// it gets as the app itself. Used by one goroutine at a time, as a Forge is.
type appAuth struct {
	next http.RoundTripper
	app  App
	key  *rsa.PrivateKey
	now  func() time.Time
	self *github.Client // signed by the app's own key

	token   string
	expires time.Time
}

func newAppAuth(o Options, base *http.Client) (*appAuth, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM(o.App.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the app's private key cannot be read, give the PEM file that GitHub made: %w", err)
	}
	if o.App.ID == "" || o.App.Installation == 0 {
		return nil, errors.New("an app needs its id and the id of its installation")
	}
	a := &appAuth{next: base.Transport, app: *o.App, key: key, now: o.Now}
	own := *base
	own.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		now := a.now()
		signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
			// A minute back: GitHub refuses what its clock says is not yet.
			IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(appTokenLife)), Issuer: a.app.ID,
		}).SignedString(a.key)
		if err != nil {
			return nil, err
		}
		return bearer(a.next, r, signed)
	})
	a.self, err = github.NewClient(gitHubOptions(o.Endpoint, &own)...)
	return a, err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func bearer(next http.RoundTripper, r *http.Request, token string) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return next.RoundTrip(r)
}

// RoundTrip renews the installation's token when it is about to end. One that
// GitHub no longer takes is let go of, so that the next try gets a new one.
func (a *appAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.now().Add(tokenMargin).After(a.expires) {
		// Without options the client sends the body null, which is none of GitHub's.
		made, _, err := a.self.Apps.CreateInstallationToken(r.Context(), a.app.Installation, &github.InstallationTokenOptions{})
		if err != nil {
			return nil, err // with GitHub's answer inside, see answerIn
		}
		a.token, a.expires = made.GetToken(), made.GetExpiresAt().Time
	}
	response, err := bearer(a.next, r, a.token)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		a.expires = time.Time{}
	}
	return response, err
}

// answerIn is GitHub's answer to the request for a token that made another fail.
func answerIn(err error) *http.Response {
	var refused *github.ErrorResponse
	var limited *github.RateLimitError
	var abused *github.AbuseRateLimitError
	switch {
	case errors.As(err, &refused):
		return refused.Response
	case errors.As(err, &limited):
		return limited.Response
	case errors.As(err, &abused):
		return abused.Response
	}
	return nil
}
