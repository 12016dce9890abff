package forgeapi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"
)

type giteaForge struct {
	client *gitea.Client
	now    func() time.Time
	login  string
}

// NewGitea is a client of Gitea or Forgejo; the endpoint is its base URL.
func NewGitea(o Options) (Forge, error) {
	// Without a version the client asks for none: Start must not need the forge.
	client, err := gitea.NewClient(o.Endpoint, gitea.SetHTTPClient(paced(o.HTTP, o.Limiter)), gitea.SetToken(o.Token), gitea.SetGiteaVersion(""), gitea.SetUserAgent("deployloop"))
	if err != nil {
		return nil, err
	}
	return &giteaForge{client: client, now: o.Now, login: o.Login}, nil
}

func (g *giteaForge) failed(response *gitea.Response, err error) error {
	if response == nil {
		return failed(nil, err, g.now())
	}
	return failed(response.Response, err, g.now())
}

// Statuses are all of them: the order of the list is the server's affair.
func (g *giteaForge) Statuses(ctx context.Context, repository, revision, name string) (found []Status, err error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	err = eachPage(func(page int) (int, error) {
		list, response, err := g.client.ListStatuses(owner, repo, revision, gitea.ListStatusesOption{ListOptions: giteaPage(page)})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, s := range list {
			if s.Context == name {
				found = append(found, Status{Context: name, State: State(s.State), Description: s.Description, TargetURL: s.TargetURL, ID: s.ID, At: s.Created})
			}
		}
		return response.NextPage, nil
	})
	return newestStatuses(found), err
}

func (g *giteaForge) SetStatus(ctx context.Context, repository, revision string, s Status) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	g.client.SetContext(ctx)
	_, response, err := g.client.CreateStatus(owner, repo, revision, gitea.CreateStatusOption{
		State: gitea.StatusState(s.State), TargetURL: s.TargetURL, Description: s.Description, Context: s.Context,
	})
	return g.failed(response, err)
}

// maxSearched bounds the pull requests whose commits are looked through.
const maxSearched = 20

// MergedPull asks for the one pull request that Gitea keeps with a merge
// commit. A commit that came inside of one has no such link: it is looked for
// in the pull requests that were changed last.
func (g *giteaForge) MergedPull(ctx context.Context, repository, revision string) (int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return 0, err
	}
	g.client.SetContext(ctx)
	pull, response, err := g.client.GetCommitPullRequest(owner, repo, revision)
	if err = g.failed(response, err); err == nil {
		if pull.Merged == nil {
			return 0, nil
		}
		return pull.Index, nil
	}
	if !refusedLookup(err) {
		return 0, err
	}
	list, response, err := g.client.ListRepoPullRequests(owner, repo, gitea.ListPullRequestsOptions{
		ListOptions: giteaPage(1), State: gitea.StateClosed, Sort: "recentupdate",
	})
	if err != nil {
		return 0, g.failed(response, err)
	}
	list = slices.DeleteFunc(list, func(p *gitea.PullRequest) bool { return p.Merged == nil })
	for _, p := range list {
		if p.Head != nil && p.Head.Sha == revision {
			return p.Index, nil
		}
	}
	for _, p := range list[:min(len(list), maxSearched)] {
		commits, response, err := g.client.ListPullRequestCommits(owner, repo, p.Index, gitea.ListPullRequestCommitsOptions{ListOptions: giteaPage(1)})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, c := range commits {
			if c.CommitMeta != nil && c.SHA == revision {
				return p.Index, nil
			}
		}
	}
	return 0, nil
}

// giteaPage is one page of the largest size that a server grants unless told otherwise.
func giteaPage(page int) gitea.ListOptions { return gitea.ListOptions{Page: page, PageSize: 50} }

// comments lists those on a pull request that were changed since a time; the
// zero time means all.
func (g *giteaForge) comments(ctx context.Context, repository string, pull int64, since time.Time, wanted func(c *gitea.Comment, mine bool) bool) ([]Comment, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	if g.login == "" {
		user, response, err := g.client.GetMyUserInfo()
		if err != nil {
			return nil, g.failed(response, err)
		}
		if user.UserName == "" {
			return nil, failed(nil, errors.New("the forge does not say whose the token is: set login"), g.now())
		}
		g.login = user.UserName
	}
	var found []Comment
	err = eachPage(func(page int) (int, error) {
		list, response, err := g.client.ListIssueComments(owner, repo, pull, gitea.ListIssueCommentOptions{ListOptions: giteaPage(page), Since: since})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, c := range list {
			if c.Poster != nil && wanted(c, strings.EqualFold(c.Poster.UserName, g.login)) {
				found = append(found, Comment{ID: c.ID, Body: c.Body, Author: Author{Login: c.Poster.UserName, ID: c.Poster.ID}, At: c.Created})
			}
		}
		return response.NextPage, nil
	})
	return sortComments(found), err
}

func (g *giteaForge) OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error) {
	return g.comments(ctx, repository, pull, time.Time{}, func(c *gitea.Comment, mine bool) bool {
		return mine && strings.HasPrefix(c.Body, prefix)
	})
}

func (g *giteaForge) Replies(ctx context.Context, repository string, pull int64, since time.Time) ([]Comment, error) {
	return g.comments(ctx, repository, pull, since, func(c *gitea.Comment, mine bool) bool {
		return !mine && !c.Created.Before(since)
	})
}

func (g *giteaForge) CreateComment(ctx context.Context, repository string, pull int64, body string) (Comment, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return Comment{}, err
	}
	g.client.SetContext(ctx)
	made, response, err := g.client.CreateIssueComment(owner, repo, pull, gitea.CreateIssueCommentOption{Body: body})
	if err != nil {
		return Comment{}, g.failed(response, err)
	}
	return Comment{ID: made.ID, Body: body}, nil
}

func (g *giteaForge) EditComment(ctx context.Context, repository string, _, comment int64, body string) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	g.client.SetContext(ctx)
	_, response, err := g.client.EditIssueComment(owner, repo, comment, gitea.EditIssueCommentOption{Body: body})
	return g.failed(response, err)
}

func (g *giteaForge) DeleteComment(ctx context.Context, repository string, _, comment int64) error {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return err
	}
	g.client.SetContext(ctx)
	response, err := g.client.DeleteIssueComment(owner, repo, comment)
	return g.failed(response, err)
}

func (g *giteaForge) MayWrite(ctx context.Context, repository string, author Author) (bool, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return false, err
	}
	g.client.SetContext(ctx)
	level, response, err := g.client.CollaboratorPermission(owner, repo, author.Login)
	if err = g.failed(response, err); err != nil {
		if refusedLookup(err) {
			return false, nil
		}
		return false, err
	}
	if level == nil {
		return false, nil // what the client makes of "no such user"
	}
	return slices.Contains([]gitea.AccessMode{gitea.AccessModeWrite, gitea.AccessModeAdmin, gitea.AccessModeOwner}, level.Permission), nil
}

// OpenPull is looked for among the open pull requests that were changed last, by
// its head.
func (g *giteaForge) OpenPull(ctx context.Context, repository, revision string) (int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return 0, err
	}
	g.client.SetContext(ctx)
	list, response, err := g.client.ListRepoPullRequests(owner, repo, gitea.ListPullRequestsOptions{
		ListOptions: giteaPage(1), State: gitea.StateOpen, Sort: "recentupdate",
	})
	if err != nil {
		return 0, g.failed(response, err)
	}
	for _, p := range list {
		if p.Head != nil && p.Head.Sha == revision {
			return p.Index, nil
		}
	}
	return 0, nil
}

func (g *giteaForge) OpenPulls(ctx context.Context, repository string) ([]int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	list, response, err := g.client.ListRepoPullRequests(owner, repo, gitea.ListPullRequestsOptions{
		ListOptions: giteaPage(1), State: gitea.StateOpen, Sort: "recentupdate",
	})
	if err != nil {
		return nil, g.failed(response, err)
	}
	numbers := make([]int64, len(list))
	for i, p := range list {
		numbers[i] = p.Index
	}
	return numbers, nil
}

func (g *giteaForge) PullFiles(ctx context.Context, repository string, pull int64) ([]string, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	var paths []string
	err = eachPage(func(page int) (int, error) {
		list, response, err := g.client.ListPullRequestFiles(owner, repo, pull, gitea.ListPullRequestFilesOptions{ListOptions: giteaPage(page)})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, f := range list {
			paths = append(paths, f.Filename)
			if f.PreviousFilename != "" {
				paths = append(paths, f.PreviousFilename)
			}
		}
		return response.NextPage, nil
	})
	return paths, err
}
