package forgeapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v89/github"
)

type gitHub struct {
	client *github.Client
	now    func() time.Time
	login  string
	app    *github.Client // as the app itself; nil without one
	// isApp: the token is an app's, which may not ask who it is.
	isApp bool
}

// NewGitHub is a client of GitHub, or of GitHub Enterprise Server when the
// endpoint is its API ("https://github.example.com/api/v3").
func NewGitHub(o Options) (Forge, error) {
	base := paced(o.HTTP, o.Limiter)
	g := &gitHub{now: o.Now, login: o.Login}
	options := gitHubOptions(o.Endpoint, base)
	switch {
	case o.App != nil:
		app, err := newAppAuth(o, base)
		if err != nil {
			return nil, err
		}
		g.app = app.self
		signed := *base
		signed.Transport = app
		options = gitHubOptions(o.Endpoint, &signed)
	case o.Token != "":
		options = append(options, github.WithAuthToken(o.Token))
	}
	var err error
	g.client, err = github.NewClient(options...)
	return g, err
}

func gitHubOptions(endpoint string, client *http.Client) []github.ClientOptionsFunc {
	// The client's own limit check would refuse by the wall clock what the
	// writer already waited for; the answers' headers are honoured there.
	options := []github.ClientOptionsFunc{github.WithHTTPClient(client), github.WithDisableRateLimitCheck(), github.WithUserAgent("deployloop")}
	if endpoint != "" {
		base := strings.TrimRight(endpoint, "/") + "/"
		options = append(options, github.WithURLs(&base, nil))
	}
	return options
}

func (g *gitHub) failed(response *github.Response, err error) error {
	if response == nil || response.Response == nil {
		return failed(answerIn(err), err, g.now()) //nolint:bodyclose // the client closed it
	}
	return failed(response.Response, err, g.now())
}

func (g *gitHub) Statuses(ctx context.Context, repository, revision, name string) (found []Status, err error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	err = eachPage(func(page int) (int, error) {
		list, response, err := g.client.Repositories.ListStatuses(ctx, owner, repo, revision, &github.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, s := range list { // newest first
			if s.GetContext() == name {
				found = append(found, Status{Context: name, State: State(s.GetState()), Description: s.GetDescription(), TargetURL: s.GetTargetURL(), ID: s.GetID(), At: s.GetCreatedAt().Time})
			}
		}
		if len(found) > 0 {
			return 0, nil
		}
		return response.NextPage, nil
	})
	return newestStatuses(found), err
}

func (g *gitHub) SetStatus(ctx context.Context, repository, revision string, s Status) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	status := github.RepoStatus{State: github.Ptr(string(s.State)), Description: &s.Description, Context: &s.Context}
	if s.TargetURL != "" {
		status.TargetURL = &s.TargetURL
	}
	_, response, err := g.client.Repositories.CreateStatus(ctx, owner, repo, revision, status)
	return g.failed(response, err)
}

// MergedPull prefers the pull request whose merge made the commit; else the
// one that was merged first, since later ones only carry it to other branches.
func (g *gitHub) MergedPull(ctx context.Context, repository, revision string) (int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return 0, err
	}
	list, response, err := g.client.PullRequests.ListPullRequestsWithCommit(ctx, owner, repo, revision, &github.ListOptions{PerPage: pageSize})
	if err != nil {
		return 0, g.failed(response, err)
	}
	list = slices.DeleteFunc(list, func(p *github.PullRequest) bool { return p.MergedAt == nil })
	if len(list) == 0 {
		return 0, nil
	}
	made := func(p *github.PullRequest) int {
		if p.GetMergeCommitSHA() == revision {
			return 0
		}
		return 1
	}
	first := slices.MinFunc(list, func(a, b *github.PullRequest) int {
		return cmp.Or(cmp.Compare(made(a), made(b)), a.GetMergedAt().Compare(b.GetMergedAt().Time), cmp.Compare(a.GetNumber(), b.GetNumber()))
	})
	return int64(first.GetNumber()), nil
}

// OpenPull is the open pull request whose head is the commit, else the first that
// holds it.
func (g *gitHub) OpenPull(ctx context.Context, repository, revision string) (int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return 0, err
	}
	list, response, err := g.client.PullRequests.ListPullRequestsWithCommit(ctx, owner, repo, revision, &github.ListOptions{PerPage: pageSize})
	if err != nil {
		return 0, g.failed(response, err)
	}
	number := int64(0)
	for _, p := range list {
		if p.GetState() != "open" {
			continue
		}
		if p.GetHead().GetSHA() == revision {
			return int64(p.GetNumber()), nil
		}
		if number == 0 {
			number = int64(p.GetNumber())
		}
	}
	return number, nil
}

// identify asks once whose comments are its own. An app's token may not ask;
// then only comments of bots count.
func (g *gitHub) identify(ctx context.Context) error {
	if g.login != "" || g.isApp {
		return nil
	}
	if g.app != nil {
		app, response, err := g.app.Apps.Get(ctx, "")
		if err != nil {
			return g.failed(response, err)
		}
		g.login = app.GetSlug() + "[bot]"
		return nil
	}
	user, response, err := g.client.Users.Get(ctx, "")
	if err != nil {
		if response != nil && (response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusNotFound) {
			var f *Failed
			if errors.As(g.failed(response, err), &f) && !f.Limited {
				g.isApp = true
				return nil
			}
		}
		return g.failed(response, err)
	}
	g.login = user.GetLogin()
	return nil
}

// comments lists those on a pull request that were changed since a time; the
// zero time means all.
func (g *gitHub) comments(ctx context.Context, repository string, pull int64, since time.Time, wanted func(c *github.IssueComment, mine bool) bool) ([]Comment, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	if err := g.identify(ctx); err != nil {
		return nil, err
	}
	options := github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: pageSize}}
	if !since.IsZero() {
		options.Since = &since
	}
	var found []Comment
	err = eachPage(func(page int) (int, error) {
		options.Page = page
		list, response, err := g.client.Issues.ListComments(ctx, owner, repo, int(pull), &options)
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, c := range list {
			mine := strings.EqualFold(c.GetUser().GetLogin(), g.login)
			if g.isApp {
				mine = c.GetUser().GetType() == "Bot"
			}
			if wanted(c, mine) {
				found = append(found, Comment{
					ID: c.GetID(), Body: c.GetBody(), At: c.GetCreatedAt().Time,
					Author: Author{Login: c.GetUser().GetLogin(), ID: c.GetUser().GetID()},
				})
			}
		}
		return response.NextPage, nil
	})
	return sortComments(found), err
}

func (g *gitHub) OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error) {
	return g.comments(ctx, repository, pull, time.Time{}, func(c *github.IssueComment, mine bool) bool {
		return mine && strings.HasPrefix(c.GetBody(), prefix)
	})
}

func (g *gitHub) Replies(ctx context.Context, repository string, pull int64, since time.Time) ([]Comment, error) {
	return g.comments(ctx, repository, pull, since, func(c *github.IssueComment, mine bool) bool {
		return !mine && !c.GetCreatedAt().Before(since)
	})
}

func (g *gitHub) CreateComment(ctx context.Context, repository string, pull int64, body string) (Comment, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return Comment{}, err
	}
	made, response, err := g.client.Issues.CreateComment(ctx, owner, repo, int(pull), &github.IssueComment{Body: &body})
	if err != nil {
		return Comment{}, g.failed(response, err)
	}
	return Comment{ID: made.GetID(), Body: body}, nil
}

func (g *gitHub) EditComment(ctx context.Context, repository string, _, comment int64, body string) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	_, response, err := g.client.Issues.EditComment(ctx, owner, repo, comment, &github.IssueComment{Body: &body})
	return g.failed(response, err)
}

func (g *gitHub) DeleteComment(ctx context.Context, repository string, _, comment int64) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	response, err := g.client.Issues.DeleteComment(ctx, owner, repo, comment)
	return g.failed(response, err)
}

func (g *gitHub) MayWrite(ctx context.Context, repository string, author Author) (bool, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return false, err
	}
	level, response, err := g.client.Repositories.GetPermissionLevel(ctx, owner, repo, url.PathEscape(author.Login))
	if err = g.failed(response, err); err != nil {
		if refusedLookup(err) {
			return false, nil // no user, or an app
		}
		return false, err
	}
	// Finer roles are told as the one of these that they include.
	return level.GetPermission() == "write" || level.GetPermission() == "admin", nil
}

func (g *gitHub) OpenPulls(ctx context.Context, repository string) ([]int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	list, response, err := g.client.PullRequests.List(ctx, owner, repo, &github.PullRequestListOptions{
		State: "open", Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: pageSize},
	})
	if err != nil {
		return nil, g.failed(response, err)
	}
	numbers := make([]int64, len(list))
	for i, p := range list {
		numbers[i] = int64(p.GetNumber())
	}
	return numbers, nil
}

func (g *gitHub) PullFiles(ctx context.Context, repository string, pull int64) ([]string, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	var paths []string
	err = eachPage(func(page int) (int, error) {
		list, response, err := g.client.PullRequests.ListFiles(ctx, owner, repo, int(pull), &github.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, f := range list {
			paths = append(paths, f.GetFilename())
			if f.GetPreviousFilename() != "" {
				paths = append(paths, f.GetPreviousFilename())
			}
		}
		return response.NextPage, nil
	})
	return paths, err
}
