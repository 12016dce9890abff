package forgeapi

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	pathShape = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)
	scpShape  = regexp.MustCompile(`^[A-Za-z0-9_.-]+@([A-Za-z0-9.-]+):(.+)$`)
)

// RepositoryPath is "owner/name" of what a source called a repository: that
// itself, or a clone's address on the given host. "" for anything else; it
// ends up in a request's path.
func RepositoryPath(name, host string) string {
	if m := scpShape.FindStringSubmatch(name); m != nil {
		name = "ssh://" + m[1] + "/" + m[2]
	}
	if strings.Contains(name, "://") {
		u, err := url.Parse(name)
		if err != nil || host == "" || !strings.EqualFold(u.Hostname(), host) {
			return ""
		}
		name = strings.Trim(u.Path, "/")
	}
	name = strings.TrimSuffix(name, ".git")
	if len(name) > 300 || !pathShape.MatchString(name) {
		return ""
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return ""
		}
	}
	return name
}

// publicHosts are the forges that need no endpoint.
var publicHosts = map[string]string{"github": "github.com", "gitlab": "gitlab.com"}

// Public says whether a kind of forge has a public server, which serves where
// no endpoint is named.
func Public(kind string) bool { return publicHosts[kind] != "" }

// WebHost is where people clone from, by the kind of forge and its API's address.
func WebHost(kind, endpoint string) string {
	if endpoint == "" {
		return publicHosts[kind]
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	if kind == "github" && u.Hostname() == "api.github.com" {
		return "github.com"
	}
	return u.Hostname()
}
