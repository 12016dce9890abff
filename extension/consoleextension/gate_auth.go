package consoleextension

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
)

// GateConfig is what the gate says when there is no verdict to go by, and who
// may ask.
type GateConfig struct {
	// Token must come with each question to the gate, and with a waiver: as a
	// bearer token or as the password of basic authentication, of the page's form
	// in a field. "": none is needed. It stands in for `auth`, not beside it.
	Token configopaque.String `mapstructure:"token"`

	// OnInconclusive is what a verdict of inconclusive means: fail, pass or wait.
	OnInconclusive decision `mapstructure:"on_inconclusive"`

	// OnUnavailable is what it means that nothing is known of a deployment:
	// fail, pass or wait.
	OnUnavailable decision `mapstructure:"on_unavailable"`
}

// minTokenLength in bytes: shorter ones can be guessed.
const minTokenLength = 16

func (c *GateConfig) validate(auth bool) error {
	for key, d := range map[string]decision{"on_inconclusive": c.OnInconclusive, "on_unavailable": c.OnUnavailable} {
		if d != decisionFail && d != decisionPass && d != decisionWait {
			return fmt.Errorf("gate::%s is %q: set it to fail, pass or wait", key, d)
		}
	}
	if c.Token != "" && len(c.Token) < minTokenLength {
		return fmt.Errorf("gate::token has %d characters: give it %d or more, e.g. of `openssl rand -hex 20`", len(c.Token), minTokenLength)
	}
	if c.Token != "" && auth {
		return errors.New("gate::token is set beside auth, and both read the Authorization header: leave one out")
	}
	return nil
}

// tokenGiven tells whether the request carries the gate's token.
func (s *site) tokenGiven(r *http.Request) bool {
	given, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer {
		_, given, _ = r.BasicAuth()
	}
	return s.isGateToken(given)
}

// isGateToken tells whether what was given is the gate's token; where none is set
// nothing is. Digests are compared, so that the time taken tells nothing, the
// length included.
func (s *site) isGateToken(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.cfg.Gate.Token))
	return s.cfg.Gate.Token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// gateAuthorized answers 401 when a token is needed and not given.
func (s *site) gateAuthorized(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.Gate.Token == "" || s.tokenGiven(r) {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="deployloop gate"`)
	s.apiError(w, r, http.StatusUnauthorized, "the gate's token is missing or wrong", "send gate::token of the console as `Authorization: Bearer …`, or as the password in the URL where no header can be set")
	return false
}
