package forgeapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/time/rate"
)

type gitLab struct {
	client *gitlab.Client
	now    func() time.Time
	me     int64 // 0: not asked yet
	login  string
}

// NewGitLab is a client of gitlab.com, or of the GitLab whose base URL the
// endpoint is. Pull requests are its merge requests, by their number in the
// project; a repository may have more than two parts ("group/sub/shop").
func NewGitLab(o Options) (Forge, error) {
	options := []gitlab.ClientOptionFunc{
		gitlab.WithHTTPClient(paced(o.HTTP, o.Limiter)), gitlab.WithUserAgent("deployloop"),
		// Paced and retried here: its own would ask the forge for its limits
		// and try again under the writer's feet.
		gitlab.WithCustomLimiter(rate.NewLimiter(rate.Inf, 0)), gitlab.WithoutRetries(),
	}
	if o.Endpoint != "" {
		options = append(options, gitlab.WithBaseURL(o.Endpoint))
	}
	var source gitlab.AuthSource = gitlab.Unauthenticated{}
	if o.Token != "" {
		source = gitlab.AccessTokenAuthSource{Token: o.Token}
	}
	client, err := gitlab.NewAuthSourceClient(source, options...)
	if err != nil {
		return nil, err
	}
	return &gitLab{client: client, now: o.Now, login: o.Login}, nil
}

func (g *gitLab) failed(response *gitlab.Response, err error) error {
	if response == nil {
		return failed(nil, err, g.now())
	}
	return failed(response.Response, err, g.now())
}

// GitLab's statuses are jobs of a pipeline, with the states of jobs. Canceled
// is the one that is over and neither passed nor failed.
var gitLabStates = map[State]gitlab.BuildStateValue{
	Pending: gitlab.Pending, Success: gitlab.Success, Failure: gitlab.Failed, Error: gitlab.Canceled,
}

// Statuses include those that a later one took the place of.
func (g *gitLab) Statuses(ctx context.Context, repository, revision, name string) (found []Status, err error) {
	all := true
	err = eachPage(func(page int64) (int64, error) {
		list, response, err := g.client.Commits.GetCommitStatuses(repository, revision, &gitlab.GetCommitStatusesOptions{
			ListOptions: gitlab.ListOptions{Page: page, PerPage: pageSize}, Name: &name, All: &all,
		}, gitlab.WithContext(ctx))
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, s := range list {
			if s.Name != name {
				continue
			}
			status := Status{Context: name, State: Pending, Description: s.Description, TargetURL: s.TargetURL, ID: s.ID} // created, running, manual, …
			for ours, theirs := range gitLabStates {
				if s.Status == string(theirs) {
					status.State = ours
				}
			}
			if s.CreatedAt != nil {
				status.At = *s.CreatedAt
			}
			found = append(found, status)
		}
		return response.NextPage, nil
	})
	return newestStatuses(found), err
}

// SetStatus: GitLab changes the description of a job that is in the asked
// state already, and then refuses the step from that state to itself.
func (g *gitLab) SetStatus(ctx context.Context, repository, revision string, s Status) error {
	options := &gitlab.SetCommitStatusOptions{State: gitLabStates[s.State], Name: &s.Context, Description: &s.Description}
	if s.TargetURL != "" {
		options.TargetURL = &s.TargetURL
	}
	_, response, err := g.client.Commits.SetCommitStatus(repository, revision, options, gitlab.WithContext(ctx))
	if err != nil && response != nil && response.StatusCode == http.StatusBadRequest && strings.Contains(err.Error(), "Cannot transition status") {
		return nil
	}
	return g.failed(response, err)
}

// MergedPull is the merge request that was merged first: later ones only carry
// the commit to other branches.
func (g *gitLab) MergedPull(ctx context.Context, repository, revision string) (int64, error) {
	list, response, err := g.client.Commits.ListMergeRequestsByCommit(repository, revision, gitlab.WithContext(ctx))
	if err != nil {
		return 0, g.failed(response, err)
	}
	list = slices.DeleteFunc(list, func(m *gitlab.BasicMergeRequest) bool { return m.MergedAt == nil })
	if len(list) == 0 {
		return 0, nil
	}
	return slices.MinFunc(list, func(a, b *gitlab.BasicMergeRequest) int {
		return cmp.Or(a.MergedAt.Compare(*b.MergedAt), cmp.Compare(a.IID, b.IID))
	}).IID, nil
}

// OpenPull is the open merge request whose head is the commit, else the first that
// holds it.
func (g *gitLab) OpenPull(ctx context.Context, repository, revision string) (int64, error) {
	list, response, err := g.client.Commits.ListMergeRequestsByCommit(repository, revision, gitlab.WithContext(ctx))
	if err != nil {
		return 0, g.failed(response, err)
	}
	number := int64(0)
	for _, m := range list {
		if m.State != "opened" {
			continue
		}
		if m.SHA == revision {
			return m.IID, nil
		}
		if number == 0 {
			number = m.IID
		}
	}
	return number, nil
}

// identify asks once whose comments are its own.
func (g *gitLab) identify(ctx context.Context) error {
	if g.me != 0 || g.login != "" {
		return nil
	}
	user, response, err := g.client.Users.CurrentUser(gitlab.WithContext(ctx))
	if err != nil {
		return g.failed(response, err)
	}
	if user.ID == 0 {
		return failed(nil, errors.New("the forge does not say whose the token is: set login"), g.now())
	}
	g.me = user.ID
	return nil
}

func (g *gitLab) isMine(author gitlab.NoteAuthor) bool {
	return g.me != 0 && author.ID == g.me || g.login != "" && strings.EqualFold(author.Username, g.login)
}

// notes lists what people wrote on a merge request, newest first, until the
// caller has enough.
func (g *gitLab) notes(ctx context.Context, repository string, pull int64, each func(n *gitlab.Note) bool) error {
	if err := g.identify(ctx); err != nil {
		return err
	}
	return eachPage(func(page int64) (int64, error) {
		list, response, err := g.client.Notes.ListMergeRequestNotes(repository, pull, &gitlab.ListMergeRequestNotesOptions{
			ListOptions: gitlab.ListOptions{Page: page, PerPage: pageSize}, OrderBy: gitlab.Ptr("created_at"), Sort: gitlab.Ptr("desc"),
		}, gitlab.WithContext(ctx))
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, n := range list {
			if !n.System && n.CreatedAt != nil && !each(n) {
				return 0, nil
			}
		}
		return response.NextPage, nil
	})
}

func gitLabComment(n *gitlab.Note) Comment {
	return Comment{ID: n.ID, Body: n.Body, Author: Author{Login: n.Author.Username, ID: n.Author.ID}, At: *n.CreatedAt}
}

func (g *gitLab) OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error) {
	var own []Comment
	err := g.notes(ctx, repository, pull, func(n *gitlab.Note) bool {
		if g.isMine(n.Author) && strings.HasPrefix(n.Body, prefix) {
			own = append(own, gitLabComment(n))
		}
		return true
	})
	return sortComments(own), err
}

func (g *gitLab) Replies(ctx context.Context, repository string, pull int64, since time.Time) ([]Comment, error) {
	var others []Comment
	err := g.notes(ctx, repository, pull, func(n *gitlab.Note) bool {
		if !g.isMine(n.Author) && !n.CreatedAt.Before(since) {
			others = append(others, gitLabComment(n))
		}
		return !n.CreatedAt.Before(since)
	})
	return sortComments(others), err
}

func (g *gitLab) CreateComment(ctx context.Context, repository string, pull int64, body string) (Comment, error) {
	made, response, err := g.client.Notes.CreateMergeRequestNote(repository, pull, &gitlab.CreateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	if err != nil {
		return Comment{}, g.failed(response, err)
	}
	return Comment{ID: made.ID, Body: body}, nil
}

func (g *gitLab) EditComment(ctx context.Context, repository string, pull, comment int64, body string) error {
	_, response, err := g.client.Notes.UpdateMergeRequestNote(repository, pull, comment, &gitlab.UpdateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	return g.failed(response, err)
}

func (g *gitLab) DeleteComment(ctx context.Context, repository string, pull, comment int64) error {
	response, err := g.client.Notes.DeleteMergeRequestNote(repository, pull, comment, gitlab.WithContext(ctx))
	return g.failed(response, err)
}

// MayWrite: developers may push, by the project's membership or a group's.
func (g *gitLab) MayWrite(ctx context.Context, repository string, author Author) (bool, error) {
	member, response, err := g.client.ProjectMembers.GetInheritedProjectMember(repository, author.ID, gitlab.WithContext(ctx))
	if err = g.failed(response, err); err != nil {
		if refusedLookup(err) {
			return false, nil
		}
		return false, err
	}
	return member.AccessLevel >= gitlab.DeveloperPermissions, nil
}

func (g *gitLab) OpenPulls(ctx context.Context, repository string) ([]int64, error) {
	list, response, err := g.client.MergeRequests.ListProjectMergeRequests(repository, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{PerPage: pageSize}, State: gitlab.Ptr("opened"), OrderBy: gitlab.Ptr("updated_at"), Sort: gitlab.Ptr("desc"),
	}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, g.failed(response, err)
	}
	numbers := make([]int64, len(list))
	for i, m := range list {
		numbers[i] = m.IID
	}
	return numbers, nil
}

func (g *gitLab) PullFiles(ctx context.Context, repository string, pull int64) ([]string, error) {
	var paths []string
	err := eachPage(func(page int64) (int64, error) {
		list, response, err := g.client.MergeRequests.ListMergeRequestDiffs(repository, pull, &gitlab.ListMergeRequestDiffsOptions{
			ListOptions: gitlab.ListOptions{Page: page, PerPage: pageSize},
		}, gitlab.WithContext(ctx))
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, d := range list {
			paths = append(paths, d.OldPath, d.NewPath)
		}
		return response.NextPage, nil
	})
	return paths, err
}
