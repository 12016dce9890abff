package forgeapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
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

// Status is the one with the highest id: the order of the list is the server's affair.
func (g *giteaForge) Status(ctx context.Context, repository, revision, name string) (*Status, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	var newest *gitea.Status
	options := gitea.ListStatusesOption{ListOptions: gitea.ListOptions{Page: 1, PageSize: 50}}
	for range maxPages {
		list, response, err := g.client.ListStatuses(owner, repo, revision, options)
		if err != nil {
			return nil, g.failed(response, err)
		}
		for _, s := range list {
			if s.Context == name && (newest == nil || s.ID > newest.ID) {
				newest = s
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	if newest == nil {
		return nil, nil
	}
	return &Status{Context: name, State: State(newest.State), Description: newest.Description, TargetURL: newest.TargetURL}, nil
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

// MergedPull asks for the one pull request that Gitea keeps with a merge
// commit; a commit that came otherwise has none.
func (g *giteaForge) MergedPull(ctx context.Context, repository, revision string) (int64, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return 0, err
	}
	g.client.SetContext(ctx)
	pull, response, err := g.client.GetCommitPullRequest(owner, repo, revision)
	if err != nil {
		if response != nil && response.StatusCode == http.StatusNotFound {
			return 0, nil
		}
		return 0, g.failed(response, err)
	}
	if pull.Merged == nil {
		return 0, nil
	}
	return pull.Index, nil
}

func (g *giteaForge) OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error) {
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
	var own []Comment
	options := gitea.ListIssueCommentOptions{ListOptions: gitea.ListOptions{Page: 1, PageSize: 50}}
	for range maxPages {
		list, response, err := g.client.ListIssueComments(owner, repo, pull, options)
		if err != nil {
			return nil, g.failed(response, err)
		}
		for _, c := range list {
			if c.Poster != nil && strings.EqualFold(c.Poster.UserName, g.login) && strings.HasPrefix(c.Body, prefix) {
				own = append(own, Comment{ID: c.ID, Body: c.Body})
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	slices.SortFunc(own, func(a, b Comment) int { return cmp.Compare(a.ID, b.ID) })
	return own, nil
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
