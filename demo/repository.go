package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/deployloop/deployloop/demo/shop"
)

// repositoryName is the shop's, as its forge would call it.
const repositoryName = "acme/shop"

// repository is the shop's history as a git repository on disk.
type repository struct {
	path    string
	git     *git.Repository
	runs    int                // of its CI
	commits []landed           // oldest first
	release map[string]release // by version
	culprit string             // the commit that went wrong
}

// release is a version and the revision it was built from.
type release struct{ version, revision string }

// landed is a commit as it is in the repository.
type landed struct {
	shop.Commit
	revision, parent         string
	at                       time.Time
	added, modified, removed []string
}

// createRepository writes the shop's history, the newest commit a minute old.
func createRepository(path string, fault shop.Fault, now time.Time) (*repository, error) {
	history, err := shop.History(fault)
	if err != nil {
		return nil, err
	}
	repo, err := git.PlainInitWithOptions(path, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: plumbing.Main}})
	if err != nil {
		return nil, err
	}
	tree, err := repo.Worktree()
	if err != nil {
		return nil, err
	}
	r := &repository{path: path, git: repo, release: map[string]release{}}
	known := map[string]bool{}
	parent := ""
	for _, c := range history {
		l := landed{Commit: c, parent: parent, at: now.Add(-time.Minute - c.Age).Truncate(time.Second)}
		for _, f := range c.Files {
			to := filepath.Join(path, filepath.FromSlash(f.Path))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(to, f.Text, 0o644); err != nil {
				return nil, err
			}
			if _, err := tree.Add(f.Path); err != nil {
				return nil, err
			}
			if known[f.Path] {
				l.modified = append(l.modified, f.Path)
			} else {
				l.added = append(l.added, f.Path)
			}
			known[f.Path] = true
		}
		slices.Sort(l.added)
		slices.Sort(l.modified)
		who := &object.Signature{Name: c.Author, Email: c.Email, When: l.at}
		hash, err := tree.Commit(c.Message, &git.CommitOptions{Author: who, Committer: who})
		if err != nil {
			return nil, fmt.Errorf("commit %q: %w", c.Message, err)
		}
		l.revision = hash.String()
		parent = l.revision
		r.commits = append(r.commits, l)
		if c.Version != "" {
			r.release[c.Version] = release{version: c.Version, revision: l.revision}
		}
		if c.Culprit {
			r.culprit = l.revision
		}
	}
	return r, nil
}

// upTo is the commits after the release of version from ("": the beginning) up
// to that of version to.
func (r *repository) upTo(from, to string) []landed {
	begin, end := 0, len(r.commits)
	for i, c := range r.commits {
		if c.Version == from && from != "" {
			begin = i + 1
		}
		if c.Version == to {
			end = i + 1
		}
	}
	return r.commits[begin:end]
}

func authors(commits []landed) int {
	names := map[string]bool{}
	for _, c := range commits {
		names[c.Author] = true
	}
	return len(names)
}
