package forgeapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/google/go-github/v89/github"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/suspect"
)

// All forges tell ranges too.
var (
	_ gitrange.History = (*gitHub)(nil)
	_ gitrange.History = (*giteaForge)(nil)
	_ gitrange.History = (*gitLab)(nil)
)

// NewHistory is a client that tells ranges, for a kind of forge.
func NewHistory(kind string, o Options) (gitrange.History, error) {
	f, err := New(kind, o)
	if err != nil {
		return nil, err
	}
	return f.(gitrange.History), nil
}

// newest keeps the last of commits that came oldest first, newest first.
func newest(changes []event.Change, limit int) []event.Change {
	slices.Reverse(changes)
	return changes[:min(len(changes), limit)]
}

func (g *gitHub) Between(ctx context.Context, repository, previous, revision string, limit int) (changes []event.Change, whole bool, err error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, false, err
	}
	if previous == "" {
		list, response, err := g.client.Repositories.ListCommits(ctx, owner, repo, &github.CommitsListOptions{SHA: revision, ListOptions: github.ListOptions{PerPage: min(limit, pageSize)}})
		if err != nil {
			return nil, false, g.failed(response, err)
		}
		for _, c := range list[:min(len(list), limit)] {
			changes = append(changes, gitHubChange(c))
		}
		return changes, len(list) < limit, nil
	}
	// Oldest first, whatever the page: the last ones are the newest.
	total := 0
	err = eachPage(func(page int) (int, error) {
		compared, response, err := g.client.Repositories.CompareCommits(ctx, owner, repo, previous, revision, &github.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return 0, g.failed(response, err)
		}
		total = compared.GetTotalCommits()
		for _, c := range compared.Commits {
			changes = append(changes, gitHubChange(c))
		}
		return response.NextPage, nil
	})
	if err != nil {
		return nil, false, err
	}
	return newest(changes, limit), total <= min(limit, len(changes)), nil
}

func gitHubChange(c *github.RepositoryCommit) event.Change {
	out := event.Change{
		Revision: c.GetSHA(), Message: c.GetCommit().GetMessage(), URL: c.GetHTMLURL(),
		Author: c.GetCommit().GetAuthor().GetName(), Email: c.GetCommit().GetAuthor().GetEmail(), At: c.GetCommit().GetCommitter().GetDate().Time,
	}
	for _, p := range c.Parents {
		out.Parents = append(out.Parents, p.GetSHA())
	}
	return out
}

func (g *gitHub) Diff(ctx context.Context, repository, revision string) ([]suspect.FileDiff, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	var files []suspect.FileDiff
	err = eachPage(func(page int) (int, error) {
		c, response, err := g.client.Repositories.GetCommit(ctx, owner, repo, revision, &github.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, f := range c.Files {
			d := suspect.FileDiff{Path: f.GetFilename()}
			if f.GetStatus() == "renamed" {
				d.OldPath = f.GetPreviousFilename()
			}
			if f.Patch != nil {
				gitrange.ReadPatch(&d, *f.Patch)
			} else {
				// Without a patch it is binary, or too large; lines are counted then.
				d.Binary = f.GetChanges() == 0 && f.GetStatus() != "renamed"
				d.Truncated = f.GetChanges() > 0
			}
			d.Added, d.Removed = f.GetAdditions(), f.GetDeletions()
			files = append(files, d)
		}
		if len(files) >= gitrange.MaxFiles {
			return 0, nil
		}
		return response.NextPage, nil
	})
	return files, err
}

func (g *gitHub) File(ctx context.Context, repository, revision, path string) (string, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return "", err
	}
	content, _, response, err := g.client.Repositories.GetContents(ctx, owner, repo, path, &github.RepositoryContentGetOptions{Ref: revision})
	if err != nil || content == nil {
		return "", g.failed(response, err)
	}
	return content.GetContent()
}

func (g *giteaForge) Between(ctx context.Context, repository, previous, revision string, limit int) (changes []event.Change, whole bool, err error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, false, err
	}
	g.client.SetContext(ctx)
	var list []*gitea.Commit
	if previous == "" {
		var response *gitea.Response
		list, response, err = g.client.ListRepoCommits(owner, repo, gitea.ListCommitOptions{SHA: revision, ListOptions: gitea.ListOptions{Page: 1, PageSize: min(limit, 50)}})
		if err != nil {
			return nil, false, g.failed(response, err)
		}
	} else {
		compared, response, err := g.client.CompareCommits(owner, repo, previous, revision)
		if err != nil {
			return nil, false, g.failed(response, err)
		}
		list = compared.Commits // newest first
	}
	for _, c := range list[:min(len(list), limit)] {
		changes = append(changes, giteaChange(c))
	}
	return changes, len(list) <= limit && (previous != "" || len(list) < limit), nil
}

func giteaChange(c *gitea.Commit) event.Change {
	out := event.Change{URL: c.HTMLURL}
	if c.CommitMeta != nil {
		out.Revision = c.SHA
	}
	if r := c.RepoCommit; r != nil {
		out.Message = r.Message
		if r.Author != nil {
			out.Author, out.Email = r.Author.Name, r.Author.Email
		}
		if r.Committer != nil {
			out.At, _ = time.Parse(time.RFC3339, r.Committer.Date) // any date may stand there: then none
		}
	}
	for _, p := range c.Parents {
		out.Parents = append(out.Parents, p.SHA)
	}
	return out
}

func (g *giteaForge) Diff(ctx context.Context, repository, revision string) ([]suspect.FileDiff, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return nil, err
	}
	g.client.SetContext(ctx)
	diff, response, err := g.client.GetCommitDiff(owner, repo, revision)
	if err != nil {
		return nil, g.failed(response, err)
	}
	return gitrange.ReadDiff(diff), nil
}

func (g *giteaForge) File(ctx context.Context, repository, revision, path string) (string, error) {
	owner, repo, err := ownerAndName(repository)
	if err != nil {
		return "", err
	}
	g.client.SetContext(ctx)
	text, response, err := g.client.GetFile(owner, repo, revision, path)
	if err != nil {
		return "", g.failed(response, err)
	}
	return string(text), nil
}

func (g *gitLab) Between(ctx context.Context, repository, previous, revision string, limit int) (changes []event.Change, whole bool, err error) {
	if previous == "" {
		list, response, err := g.client.Commits.ListCommits(repository, &gitlab.ListCommitsOptions{RefName: &revision, ListOptions: gitlab.ListOptions{PerPage: int64(min(limit, pageSize))}}, gitlab.WithContext(ctx))
		if err != nil {
			return nil, false, g.failed(response, err)
		}
		for _, c := range list[:min(len(list), limit)] {
			changes = append(changes, gitLabChange(c))
		}
		return changes, len(list) < limit, nil
	}
	compared, response, err := g.client.Repositories.Compare(repository, &gitlab.CompareOptions{From: &previous, To: &revision}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, false, g.failed(response, err)
	}
	for _, c := range compared.Commits { // oldest first
		changes = append(changes, gitLabChange(c))
	}
	return newest(changes, limit), len(changes) <= limit, nil
}

func gitLabChange(c *gitlab.Commit) event.Change {
	out := event.Change{Revision: c.ID, Parents: c.ParentIDs, Message: c.Message, Author: c.AuthorName, Email: c.AuthorEmail, URL: c.WebURL}
	if c.CommittedDate != nil {
		out.At = *c.CommittedDate
	}
	return out
}

func (g *gitLab) Diff(ctx context.Context, repository, revision string) ([]suspect.FileDiff, error) {
	var files []suspect.FileDiff
	err := eachPage(func(page int64) (int64, error) {
		list, response, err := g.client.Commits.GetCommitDiff(repository, revision, &gitlab.GetCommitDiffOptions{ListOptions: gitlab.ListOptions{Page: page, PerPage: pageSize}}, gitlab.WithContext(ctx))
		if err != nil {
			return 0, g.failed(response, err)
		}
		for _, f := range list {
			d := suspect.FileDiff{Path: f.NewPath, Submodule: f.AMode == "160000" || f.BMode == "160000"}
			if f.RenamedFile {
				d.OldPath = f.OldPath
			}
			switch {
			case strings.HasPrefix(f.Diff, "Binary files "):
				d.Binary = true
			case f.Diff == "" && !f.RenamedFile && f.AMode == f.BMode:
				d.Truncated = true // too large, or collapsed
			default:
				gitrange.ReadPatch(&d, f.Diff)
			}
			files = append(files, d)
		}
		if len(files) >= gitrange.MaxFiles {
			return 0, nil
		}
		return response.NextPage, nil
	})
	return files, err
}

func (g *gitLab) File(ctx context.Context, repository, revision, path string) (string, error) {
	text, response, err := g.client.RepositoryFiles.GetRawFile(repository, path, &gitlab.GetRawFileOptions{Ref: &revision}, gitlab.WithContext(ctx))
	if err != nil {
		return "", g.failed(response, err)
	}
	return string(text), nil
}
