package giteatest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Runner does the jobs of a repository's workflows on this machine: it takes
// them from Gitea by the protocol of its runners (Connect, as JSON) and runs
// the `run` steps by sh. It knows no `uses`, no expressions and no services.
type Runner struct {
	url         string
	uuid, token string
	env         []string
	t           testing.TB
	dir         string

	mu   sync.Mutex
	jobs []Job
}

// Job is one that the runner did.
type Job struct {
	Workflow, SHA, Ref string
	Succeeded          bool
	Output             string
}

// StartRunner registers a runner of a repository and lets it work until the
// test ends. env is added to each step's environment.
func (s *Server) StartRunner(owner Account, repository string, env ...string) *Runner {
	s.t.Helper()
	registration, _, err := owner.CreateRepoActionRunnerRegistrationToken(owner.Name, repository)
	require.NoError(s.t, err)
	r := &Runner{url: s.URL, env: env, t: s.t, dir: s.t.TempDir()}
	var registered struct {
		Runner struct{ UUID, Token string }
	}
	ctx, stop := context.WithCancel(context.Background())
	labels := []string{"host"}
	require.NoError(s.t, r.call(ctx, "Register", map[string]any{"name": "host", "token": registration.Token, "version": "test", "labels": labels}, &registered))
	r.uuid, r.token = registered.Runner.UUID, registered.Runner.Token
	require.NoError(s.t, r.call(ctx, "Declare", map[string]any{"version": "test", "labels": labels}, nil))
	var working sync.WaitGroup
	working.Go(func() { r.work(ctx) })
	s.t.Cleanup(func() { stop(); working.Wait() })
	return r
}

// Jobs are those done so far, oldest first.
func (r *Runner) Jobs() []Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Job(nil), r.jobs...)
}

type task struct {
	ID              string // an int64, as JSON of protobuf writes it
	WorkflowPayload []byte
	Context         struct{ SHA, Ref, Workflow, Repository string }
}

func (r *Runner) work(ctx context.Context) {
	for ctx.Err() == nil {
		var fetched struct{ Task *task }
		// Version 0 asks the server to look, whatever it told before.
		if err := r.call(ctx, "FetchTask", map[string]any{"tasksVersion": "0"}, &fetched); err != nil && ctx.Err() == nil {
			r.t.Errorf("runner: %v", err)
			return
		}
		if fetched.Task != nil {
			r.do(ctx, *fetched.Task)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// do runs the steps of a job, tells each one's end, and keeps what they said.
func (r *Runner) do(ctx context.Context, given task) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal(given.WorkflowPayload, &workflow); err != nil {
		r.t.Errorf("runner: %v", err)
		return
	}
	done := Job{Workflow: given.Context.Workflow, SHA: given.Context.SHA, Ref: given.Context.Ref, Succeeded: true}
	result := map[bool]string{true: "RESULT_SUCCESS", false: "RESULT_FAILURE"}
	began := time.Now()
	steps := []map[string]any{}
	tell := func(over bool) {
		state := map[string]any{"id": given.ID, "startedAt": began, "steps": steps}
		if over {
			state["result"], state["stoppedAt"] = result[done.Succeeded], time.Now()
		}
		if err := r.call(ctx, "UpdateTask", map[string]any{"state": state}, nil); err != nil && ctx.Err() == nil {
			r.t.Errorf("runner: %v", err)
		}
	}
	tell(false)
	folder, err := os.MkdirTemp(r.dir, "job")
	if err != nil {
		r.t.Error(err)
		return
	}
	for _, job := range workflow.Jobs {
		for i, step := range job.Steps {
			from := time.Now()
			succeeded := done.Succeeded
			if succeeded {
				sh := exec.CommandContext(ctx, "sh", "-ec", step.Run)
				sh.Dir = folder
				sh.WaitDelay = 5 * time.Second // what a step leaves behind may hold its output
				sh.Env = append(append(os.Environ(), r.env...), "GITHUB_SHA="+given.Context.SHA, "GITHUB_REF="+given.Context.Ref, "GITHUB_REPOSITORY="+given.Context.Repository, "GITHUB_SERVER_URL="+r.url)
				out, err := sh.CombinedOutput()
				succeeded = err == nil
				done.Output += string(out)
			}
			done.Succeeded = succeeded
			steps = append(steps, map[string]any{"id": fmt.Sprint(i), "result": result[succeeded], "startedAt": from, "stoppedAt": time.Now()})
		}
	}
	tell(true)
	r.mu.Lock()
	r.jobs = append(r.jobs, done)
	r.mu.Unlock()
}

// call is one call of runner.v1.RunnerService.
func (r *Runner) call(ctx context.Context, method string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/api/actions/runner.v1.RunnerService/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/json")
	if r.uuid != "" {
		post.Header.Set("x-runner-uuid", r.uuid)
		post.Header.Set("x-runner-token", r.token)
	}
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", method, response.StatusCode, said)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}
