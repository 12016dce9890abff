package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/wording"
)

// Clone is a local repository that commits are read from.
type Clone struct {
	Key     string // of its path in the configuration
	Service string // glob
	Path    string
}

// has says whether a deployed revision is in the clone; an error where the
// clone cannot be read.
func (c Clone) has(ctx context.Context, revision string) (bool, error) {
	r, err := gitrange.Open(c.Path)
	if err != nil {
		return false, err
	}
	_, err = r.Range(ctx, "", revision, gitrange.Options{MaxCommits: 1})
	if errors.Is(err, gitrange.ErrUnknownRevision) {
		return false, nil
	}
	return err == nil, err
}

// of are the clones that may hold the commits of a service.
func clonesOf(all []Clone, service string) (list []Clone) {
	for _, c := range all {
		if match, _ := path.Match(c.Service, service); match {
			list = append(list, c)
		}
	}
	return list
}

// Repository reads the newest commit of a clone.
func Repository(c Clone) Check {
	return Check{"repository", c.Path, func(ctx context.Context) []Finding { return []Finding{c.read(ctx)} }}
}

func (c Clone) read(ctx context.Context) Finding {
	r, err := gitrange.Open(c.Path)
	switch {
	case errors.Is(err, gitrange.ErrNoGit):
		return Fail(CauseNoGit, "no git program is in PATH", "install git, e.g. apt-get install git")
	case errors.Is(err, fs.ErrNotExist):
		return Fail(CausePathMissing, "there is no such folder", fmt.Sprintf("git clone --bare URL %s, or correct %s", wording.ShellQuote(c.Path), c.Key))
	case errors.Is(err, gitrange.ErrNoRepository):
		return Fail(CauseNotARepository, "the folder is no git repository", fmt.Sprintf("correct %s: name a clone, bare or not", c.Key))
	case err != nil:
		return Fail(CauseNotARepository, wording.OneLine(err.Error(), 200), fmt.Sprintf("let the user of deployloop read it, or correct %s", c.Key))
	}
	found, err := r.Range(ctx, "", "HEAD", gitrange.Options{MaxCommits: 1})
	switch {
	case errors.Is(err, gitrange.ErrUnknownRevision):
		return Fail(CauseEmptyRepository, "the repository has no commit at HEAD", "git -C "+wording.ShellQuote(c.Path)+" fetch")
	case err != nil:
		return Fail(CauseNotARepository, "the repository cannot be read: "+wording.OneLine(err.Error(), 200), "git -C "+wording.ShellQuote(c.Path)+" fsck")
	case r.Shallow():
		return Warn(CauseShallowClone, "the clone is shallow: older commits of a range are missing from it", "git -C "+wording.ShellQuote(c.Path)+" fetch --unshallow")
	}
	return ok("can be read; its newest commit is %s", event.ShortRevision(found.New))
}
