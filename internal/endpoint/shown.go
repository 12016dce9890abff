package endpoint

import (
	"net/url"
	"regexp"
	"strings"
)

// hidden stands for what is not for everyone's eyes.
const hidden = "…"

// queryName is what a query's key may look like to be shown.
var queryName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,64}$`)

// Shown is an address as logs, errors and pages may hold it: without user and
// password, since a token may stand in place of either, without the values of its
// query and without its fragment.
func Shown(address string) string {
	text, scheme := address, ""
	if at := strings.Index(text, "://"); at >= 0 {
		scheme, text = text[:at+3], text[at+3:]
	}
	u, err := url.Parse("http://" + text)
	if err != nil { // then not even where the host begins is sure
		text = text[strings.LastIndexByte(text, '@')+1:]
		if end := strings.IndexAny(text, "?#"); end >= 0 {
			text = text[:end]
		}
		return scheme + text
	}
	return scheme + u.Host + u.EscapedPath() + shownQuery(u.RawQuery)
}

func shownQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, valued := strings.Cut(pair, "="); valued && queryName.MatchString(name) {
			pairs[i] = name + "=" + hidden
		} else {
			pairs[i] = hidden
		}
	}
	return "?" + strings.Join(pairs, "&")
}

// ShownLocation is a location of a Collector's configuration as it may be shown: a
// URL without secrets, nothing of a configuration that is written out in it.
func ShownLocation(location string) string {
	scheme, rest, ok := strings.Cut(location, ":")
	switch {
	case ok && (scheme == "http" || scheme == "https"):
		return Shown(location)
	case ok && scheme == "yaml":
		return "yaml:" + hidden
	case ok && scheme == "env":
		if name, _, defaulted := strings.Cut(rest, ":-"); defaulted {
			return "env:" + name + ":-" + hidden
		}
	}
	return location
}

// Hide replaces what must not be shown of an address, or of a configuration's
// location, in a text that quotes it, an error's as a rule.
func Hide(text, address string) string {
	if address == "" {
		return text
	}
	text = strings.ReplaceAll(text, address, ShownLocation(address))
	if yaml, ok := strings.CutPrefix(address, "yaml:"); ok && yaml != "" {
		return strings.ReplaceAll(text, yaml, hidden)
	}
	u, err := url.Parse(address)
	if err != nil {
		return text
	}
	secrets := []string{}
	if u.User != nil {
		password, _ := u.User.Password()
		// As it stands in the address, as it is, and as net/http shows it.
		secrets = append(secrets, u.User.String()+"@", u.User.Username()+":***@", password, u.User.Username())
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, valued := strings.Cut(pair, "=")
		if !valued {
			value = pair
		}
		plain, _ := url.QueryUnescape(value)
		secrets = append(secrets, value, plain)
	}
	for _, s := range secrets {
		if len(s) >= minSecret {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return text
}

// minSecret keeps a user called "a" from hiding every a.
const minSecret = 3
