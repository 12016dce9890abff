package forgeapi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An app signs itself in, writes as its installation, renews the token before
// it ends, and knows its own comments by its name.
func TestGitHubApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	now := at
	asApp := func(r *http.Request) bool {
		claims := jwt.RegisteredClaims{}
		_, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &claims,
			func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithValidMethods([]string{"RS256"}))
		return err == nil && claims.Issuer == "Iv1.abc" && claims.ExpiresAt.Sub(claims.IssuedAt.Time) <= 10*time.Minute
	}
	made := 0
	c := newServer(t, "github", func(r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/app") {
			return asApp(r)
		}
		return r.Header.Get("Authorization") == "Bearer installation-"+string(rune('0'+made))
	})
	limited := false
	c.on("POST /app/installations/77/access_tokens", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		if limited {
			w.Header().Set("Retry-After", "90")
			say(w, 403, m{"message": "You have exceeded a secondary rate limit"})
			return
		}
		made++
		say(w, 201, m{"token": "installation-" + string(rune('0'+made)), "expires_at": now.Add(time.Hour)})
	})
	c.on("GET /app", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, m{"slug": "deployloop"})
	})
	c.on("GET /repos/acme/shop/issues/7/comments", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, []m{
			{"id": 2, "body": "marker", "user": m{"login": "deployloop[bot]", "type": "Bot"}},
			{"id": 1, "body": "marker", "user": m{"login": "other[bot]", "type": "Bot"}},
		})
	})
	o := options(c.URL)
	o.Now = func() time.Time { return now }
	o.App = &App{ID: "Iv1.abc", Installation: 77, PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})}
	forge, err := NewGitHub(o)
	require.NoError(t, err)
	own := func() {
		t.Helper()
		list, err := forge.OwnComments(t.Context(), "acme/shop", 7, "marker")
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.EqualValues(t, 2, list[0].ID)
	}
	own()
	own()
	assert.Equal(t, 1, made, "a token is used while it lives")
	now = now.Add(59 * time.Minute)
	own()
	assert.Equal(t, 2, made)

	now, limited = now.Add(time.Hour), true
	_, err = forge.OwnComments(t.Context(), "acme/shop", 7, "marker")
	var f *Failed
	require.ErrorAs(t, err, &f)
	assert.True(t, f.Limited, "a limit on the token's own request counts")
	assert.Equal(t, 90*time.Second, f.RetryAfter)

	o.App.PrivateKey = []byte("no key")
	_, err = NewGitHub(o)
	require.ErrorContains(t, err, "PEM")
}
