package cicdreceiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// proof checks that a request comes from who knows the secret, in constant time;
// it returns "" or, in one line, what is wrong and how to mend it.
type proof func(req *http.Request, body []byte, secret string) string

// signature is an HMAC-SHA256 of the body in hex, after a prefix, in a header.
func signature(header, prefix string) proof {
	return func(req *http.Request, body []byte, secret string) string {
		told := req.Header.Get(header)
		if told == "" {
			return "the header " + header + " is missing: set the secret on the sender's side too"
		}
		digits, found := strings.CutPrefix(told, prefix)
		sum, err := hex.DecodeString(digits)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if !found || err != nil || !hmac.Equal(sum, mac.Sum(nil)) {
			return "the signature in " + header + " is not that of the body with the secret configured here: set the same secret on both sides"
		}
		return ""
	}
}

// token is the secret itself in a header.
func token(header string) proof {
	return func(req *http.Request, _ []byte, secret string) string {
		if !sameSecret(req.Header.Get(header), secret) {
			return "the header " + header + " does not hold the secret configured here: set the same on both sides"
		}
		return ""
	}
}

// bearer is the secret as a bearer token, or, for senders that can set no
// header, as the query's token.
func bearer() proof {
	return func(req *http.Request, _ []byte, secret string) string {
		told, found := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !found {
			told = req.URL.Query().Get("token")
		}
		if !sameSecret(told, secret) {
			return "not authenticated: send the source's secret as Authorization: Bearer, or as ?token= where the sender can set no header"
		}
		return ""
	}
}

// sameSecret compares hashes, so that not even the length shows in the time.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
