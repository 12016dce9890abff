package gitrange

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// links makes the pages of commits and pull requests on the forge that a clone
// came from. The zero value makes none.
type links struct {
	base   string // "https://forge.example/acme/shop"
	commit string // between base and the commit id
	pull   string // between base and the number; "" when the forge is not known
}

// forges are told by their host's name: a clone says no more.
var forges = []struct {
	mark         string
	commit, pull string
}{
	{"gitlab", "/-/commit/", "/-/merge_requests/"},
	{"github", "/commit/", "/pull/"},
	{"gitea", "/commit/", "/pulls/"},
	{"forgejo", "/commit/", "/pulls/"},
	{"codeberg", "/commit/", "/pulls/"},
	{"bitbucket", "/commits/", "/pull-requests/"},
}

var scpRemote = regexp.MustCompile(`^(?:[\w.\-]+@)?([\w.\-]+\.[\w\-]+):([^/].*)$`) // git@forge.example:acme/shop.git

// linksOf reads "https://user:secret@forge.example/acme/shop.git",
// "ssh://git@forge.example:22/acme/shop", "git@forge.example:acme/shop.git".
// Credentials are dropped; a path or a file has no page.
func linksOf(remote string) links {
	if m := scpRemote.FindStringSubmatch(remote); m != nil && !strings.Contains(remote, "://") {
		remote = "ssh://" + m[1] + "/" + m[2]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return links{}
	}
	web := url.URL{Scheme: "https", Host: u.Host, Path: strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git")}
	switch u.Scheme {
	case "https", "http":
		web.Scheme = u.Scheme
	case "ssh", "git":
		web.Host = u.Hostname() // its port is not the page's
	default:
		return links{}
	}
	l := links{base: web.String(), commit: "/commit/"}
	for _, f := range forges {
		if strings.Contains(strings.ToLower(web.Host), f.mark) {
			l.commit, l.pull = f.commit, f.pull
			break
		}
	}
	return l
}

var (
	mergedPull   = regexp.MustCompile(`^Merge pull request (?:#|'.*' \(#)(\d{1,9})\b`)
	squashedPull = regexp.MustCompile(`\(#(\d{1,9})\)$`)
	mergeRequest = regexp.MustCompile(`(?m)^See merge request \S*!(\d{1,9})$`)
)

// add fills the pages that the commit does not tell itself. The number of its
// pull request is read from the messages that forges write on merging.
func (l links) add(c *event.Change) {
	if l.base == "" {
		return
	}
	if c.URL == "" {
		c.URL = l.base + l.commit + c.Revision
	}
	if c.PullURL != "" || l.pull == "" {
		return
	}
	title, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	for _, form := range []struct {
		re   *regexp.Regexp
		text string
	}{{mergedPull, title}, {squashedPull, strings.TrimSpace(title)}, {mergeRequest, c.Message}} {
		if m := form.re.FindStringSubmatch(form.text); m != nil {
			c.PullURL = l.base + l.pull + m[1]
			return
		}
	}
}

// links are made from the remote "origin".
func (r *Repository) links(ctx context.Context) links {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := r.output(ctx, nil, "config", "--get", "remote.origin.url")
	if err != nil {
		return links{}
	}
	return linksOf(strings.TrimSpace(string(out)))
}
