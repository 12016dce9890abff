package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/report"
)

// ciContext is what was built or tested. What the flags leave out comes from the
// variables of the CI system, else from git.
type ciContext struct {
	repository, revision, ref, base, runID string
	root                                   string // folder of the sources
	told                                   string // that folder as the reports tell it; "": root
}

func (x *ciContext) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&x.revision, "revision", "", "`commit` that was tested (default: what CI says, else git's HEAD)")
	flags.StringVar(&x.repository, "repository", "", "`repository`, as the forge names it: acme/shop (default: what CI says)")
	flags.StringVar(&x.ref, "ref", "", "`branch` that was tested (default: what CI says)")
	flags.StringVar(&x.base, "base", "", "`commit` to compare with, a branch's merge base (default: what CI says)")
	flags.StringVar(&x.runID, "run-id", "", "`id` of the CI run (default: what CI says)")
	flags.StringVar(&x.told, "root", "", "`folder` of the sources, as the reports tell it: files are told by their path from there (default: git's top level)")
}

// complete fills in what the flags leave out.
func (x *ciContext) complete(ctx context.Context) {
	first := func(field *string, names ...string) {
		for _, name := range names {
			if *field == "" {
				*field = os.Getenv(name)
			}
		}
	}
	x.completeFromPull()
	first(&x.repository, "GITHUB_REPOSITORY", "CI_PROJECT_PATH")
	first(&x.revision, "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT")
	first(&x.ref, "GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME")
	first(&x.base, "CI_MERGE_REQUEST_DIFF_BASE_SHA")
	first(&x.runID, "GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_TAG")
	if x.root = git(ctx, "rev-parse", "--show-toplevel"); x.root == "" {
		x.root, _ = os.Getwd()
	}
	if x.revision == "" {
		x.revision = git(ctx, "rev-parse", "HEAD")
	}
	if x.ref == "" && os.Getenv("CI") == "" {
		x.ref = git(ctx, "symbolic-ref", "--short", "-q", "HEAD")
	}
}

// completeFromPull reads what GitHub says of a pull request: there GITHUB_SHA is a
// merge that nobody sees, and the base is told nowhere else.
func (x *ciContext) completeFromPull() {
	const most = 25 << 20 // as GitHub's webhooks
	path := os.Getenv("GITHUB_EVENT_PATH")
	if path == "" || !strings.HasPrefix(os.Getenv("GITHUB_EVENT_NAME"), "pull_request") {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	type commit struct {
		SHA   string `json:"sha"`
		Label string `json:"label"` // "ada:main"
		Repo  struct {
			ID int64 `json:"id"`
		} `json:"repo"`
	}
	var e struct {
		Pull struct {
			Head commit `json:"head"`
			Base commit `json:"base"`
		} `json:"pull_request"`
	}
	if json.NewDecoder(io.LimitReader(f, most)).Decode(&e) == nil {
		x.revision, x.base = cmp.Or(x.revision, e.Pull.Head.SHA), cmp.Or(x.base, e.Pull.Base.SHA)
		if head := e.Pull.Head; head.Repo.ID != e.Pull.Base.Repo.ID { // a fork's main is not ours
			x.ref = cmp.Or(x.ref, head.Label)
		}
	}
}

// git is one line that git says of this folder; "" when it says none.
func git(ctx context.Context, arguments ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", arguments...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (x *ciContext) source() report.Source {
	return report.Source{
		Repository: x.repository, Revision: x.revision, Ref: x.ref, Base: x.base, RunID: x.runID, At: time.Now().UTC(), Root: filepath.ToSlash(cmp.Or(x.told, x.root)),
	}
}

// maxRoot is what a receiver takes of it: reports without one are worth more than none.
const maxRoot = 256

// query is how POST /v1/reports takes it.
func (x *ciContext) query() url.Values {
	query := url.Values{}
	for key, value := range map[string]string{
		"repository": x.repository, "revision": x.revision, "ref": x.ref, "base": x.base, "run_id": x.runID, "root": x.source().Root,
	} {
		if value != "" && (key != "root" || len(value) <= maxRoot) {
			query.Set(key, value)
		}
	}
	return query
}
