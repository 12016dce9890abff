package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/format"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The shop's forge tells of pushes and of what its CI does, as GitHub does:
// signed with the webhook's secret.
const (
	forgeURL   = "https://git.shop.example/" + repositoryName
	mainBranch = "main"
)

// push tells of commits on a branch.
func (c *collector) push(ctx context.Context, branch string, commits []landed) error {
	if len(commits) == 0 {
		return nil
	}
	type m = map[string]any
	list := make([]m, 0, len(commits))
	for _, l := range commits {
		list = append(list, m{
			"id": l.revision, "message": l.Message, "timestamp": l.at.Format(time.RFC3339), "url": forgeURL + "/commit/" + l.revision,
			"author": m{"name": l.Author, "email": l.Email}, "committer": m{"name": l.Author, "email": l.Email},
			"added": orEmpty(l.added), "modified": orEmpty(l.modified), "removed": orEmpty(l.removed), "distinct": true,
		})
	}
	before, after := commits[0].parent, commits[len(commits)-1].revision
	if before == "" {
		before = "0000000000000000000000000000000000000000" // a new branch
	}
	return c.webhook(ctx, "push", after, m{
		"ref": "refs/heads/" + branch, "before": before, "after": after, "created": commits[0].parent == "" || branch != mainBranch, "forced": false, "deleted": false,
		"compare": forgeURL + "/compare/" + before + "..." + after, "commits": list, "head_commit": list[len(list)-1],
		"repository": m{"full_name": repositoryName, "html_url": forgeURL, "default_branch": "main"},
		"pusher":     m{"name": commits[len(commits)-1].Author},
	})
}

// webhook delivers one event.
func (c *collector) webhook(ctx context.Context, event, delivery string, payload map[string]any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cicd+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(c.secret))
	mac.Write(body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", event)
	request.Header.Set("X-GitHub-Delivery", delivery)
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return c.do(request, nil)
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// pipeline is the shop's CI: it reads a release out of the repository, and has
// it pass what its code must pass.
const pipeline = "Build and test"

// job is one of its tasks.
type job struct {
	name  string
	check func(*object.File) error
}

var jobs = []job{
	{"build", func(f *object.File) error { // every Go file parses
		text, err := f.Contents()
		if err == nil && path.Ext(f.Name) == ".go" {
			_, err = format.Source([]byte(text))
		}
		return err
	}},
	{"format", func(f *object.File) error { // and is formatted
		text, err := f.Contents()
		if err != nil || path.Ext(f.Name) != ".go" {
			return err
		}
		formatted, err := format.Source([]byte(text))
		if err == nil && string(formatted) != text {
			err = fmt.Errorf("%s is not formatted", f.Name)
		}
		return err
	}},
}

// build runs the pipeline on a commit of a branch, and tells of it as it goes. A
// run that fails is told, and no error.
func (c *collector) build(ctx context.Context, r *repository, branch, revision string) error {
	r.runs++
	run := ciRun{collector: c, branch: branch, revision: revision, id: r.runs * 100, name: pipeline, queued: time.Now()}
	if err := run.tell(ctx, "queued", ""); err != nil {
		return err
	}
	run.started = time.Now()
	commit, err := r.git.CommitObject(plumbing.NewHash(revision))
	if err != nil {
		return err
	}
	conclusion := "success"
	task := func(i int, name string) ciRun {
		return ciRun{collector: c, branch: branch, revision: revision, id: run.id + i + 1, of: run.id, name: name, queued: run.queued, started: time.Now()}
	}
	for i, j := range jobs {
		task := task(i, j.name)
		files, err := commit.Files()
		if err != nil {
			return err
		}
		result := "success"
		if err := files.ForEach(j.check); err != nil {
			result, conclusion = "failure", "failure"
		}
		if err := task.tell(ctx, "completed", result); err != nil {
			return err
		}
	}
	tests := task(len(jobs), "test")
	passed, err := c.runTests(ctx, commit, tests)
	if err != nil {
		return err
	}
	result := "success"
	if !passed {
		result, conclusion = "failure", "failure"
	}
	if err := tests.tell(ctx, "completed", result); err != nil {
		return err
	}
	return run.tell(ctx, "completed", conclusion)
}

func (p *play) pushAndBuild(ctx context.Context, commits []landed, r release) error {
	if err := p.collector.push(ctx, mainBranch, commits); err != nil {
		return err
	}
	return p.collector.build(ctx, p.repo, mainBranch, r.revision)
}

// ciRun is a run of the pipeline or, with of, a job of one.
type ciRun struct {
	collector       *collector
	branch          string
	revision, name  string
	id, of          int
	queued, started time.Time
}

func (r ciRun) tell(ctx context.Context, status, conclusion string) error {
	type m = map[string]any
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	now := time.Now()
	about := m{
		"id": r.id, "name": r.name, "head_branch": r.branch, "head_sha": r.revision, "run_attempt": 1,
		"status": status, "conclusion": conclusion, "created_at": stamp(r.queued), "updated_at": stamp(now),
	}
	if !r.started.IsZero() {
		about["started_at"], about["run_started_at"] = stamp(r.started), stamp(r.started)
	}
	event := "workflow_run"
	if r.of == 0 {
		about["head_repository"] = m{"full_name": repositoryName}
	} else {
		event = "workflow_job"
		about["run_id"], about["workflow_name"] = r.of, pipeline
		if status == "completed" {
			about["completed_at"] = stamp(now)
		}
	}
	return r.collector.webhook(ctx, event, strings.Join([]string{event, fmt.Sprint(r.id), status}, "-"), m{
		"action": status, event: about, "repository": m{"full_name": repositoryName, "html_url": forgeURL},
	})
}
