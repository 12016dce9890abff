package forgeapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v89/github"
)

type gitHub struct {
	client *github.Client
	now    func() time.Time
	login  string
	// isApp: the token is an app's, which may not ask who it is.
	isApp bool
}

// NewGitHub is a client of GitHub, or of GitHub Enterprise Server when the
// endpoint is its API ("https://github.example.com/api/v3").
func NewGitHub(o Options) (Forge, error) {
	// The client's own limit check would refuse by the wall clock what the
	// writer already waited for; the answers' headers are honoured there.
	options := []github.ClientOptionsFunc{github.WithHTTPClient(paced(o.HTTP, o.Limiter)), github.WithDisableRateLimitCheck(), github.WithUserAgent("deployloop")}
	if o.Token != "" {
		options = append(options, github.WithAuthToken(o.Token))
	}
	if o.Endpoint != "" {
		base := strings.TrimRight(o.Endpoint, "/") + "/"
		options = append(options, github.WithURLs(&base, nil))
	}
	client, err := github.NewClient(options...)
	if err != nil {
		return nil, err
	}
	return &gitHub{client: client, now: o.Now, login: o.Login}, nil
}

func (g *gitHub) failed(response *github.Response, err error) error {
	if response == nil {
		return failed(nil, err, g.now())
	}
	return failed(response.Response, err, g.now())
}

func (g *gitHub) Status(ctx context.Context, repository, revision, name string) (*Status, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	options := github.ListOptions{PerPage: pageSize}
	for range maxPages {
		list, response, err := g.client.Repositories.ListStatuses(ctx, owner, repo, revision, &options)
		if err != nil {
			return nil, g.failed(response, err)
		}
		for _, s := range list { // newest first
			if s.GetContext() == name {
				return &Status{Context: name, State: State(s.GetState()), Description: s.GetDescription(), TargetURL: s.GetTargetURL()}, nil
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	return nil, nil
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

// identify asks once whose comments are its own. An app's token may not ask;
// then only comments of bots count.
func (g *gitHub) identify(ctx context.Context) error {
	if g.login != "" || g.isApp {
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

func (g *gitHub) OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	if err := g.identify(ctx); err != nil {
		return nil, err
	}
	var own []Comment
	options := github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: pageSize}}
	for range maxPages {
		list, response, err := g.client.Issues.ListComments(ctx, owner, repo, int(pull), &options)
		if err != nil {
			return nil, g.failed(response, err)
		}
		for _, c := range list {
			mine := strings.EqualFold(c.GetUser().GetLogin(), g.login)
			if g.isApp {
				mine = c.GetUser().GetType() == "Bot"
			}
			if mine && strings.HasPrefix(c.GetBody(), prefix) {
				own = append(own, Comment{ID: c.GetID(), Body: c.GetBody()})
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	slices.SortFunc(own, func(a, b Comment) int { return cmp.Compare(a.ID, b.ID) })
	return own, nil
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
