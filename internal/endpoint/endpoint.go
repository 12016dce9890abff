// Package endpoint finds the server that a command talks to.
package endpoint

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Find is the base URL of a server: given (the flag --endpoint), else what the
// variable holds, else fallback. The scheme may be left out of each; user and
// password may stand in it. An error names both ways to give it.
func Find(given, variable, fallback string) (*url.URL, error) {
	text := given
	if text == "" {
		text = os.Getenv(variable)
	}
	if text == "" {
		text = fallback
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q is no URL; give one like %s (--endpoint or %s)", Shown(text), fallback, variable)
	}
	return base, nil
}

// Cause is a failed call's error without the method and URL that net/http puts
// before it: the URL may hold a password, and our sentence names it already.
func Cause(err error) error {
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
