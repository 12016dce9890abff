package event

import "time"

// PipelineRun is one run of a pipeline, or of one of its tasks (Task != "").
type PipelineRun struct {
	ID         string    `json:"id"`
	Pipeline   string    `json:"pipeline"`
	Task       string    `json:"task,omitempty"`
	TaskID     string    `json:"task_id,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`
	Stage      Stage     `json:"stage,omitempty"`
	State      string    `json:"state"`            // semconv cicd.pipeline.run.state: pending | executing | finalizing; "finished"
	Result     string    `json:"result,omitempty"` // semconv cicd.pipeline.result: success | failure | timeout | skip | cancellation | error
	Repository string    `json:"repository,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	RefAssumed bool      `json:"ref_assumed,omitempty"` // Ref may be a fork's branch of that name: the source does not say whose
	Revision   string    `json:"revision,omitempty"`
	URL        string    `json:"url,omitempty"`
	Worker     string    `json:"worker,omitempty"`
	QueuedAt   time.Time `json:"queued_at,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Source     string    `json:"source,omitempty"`
}

// Stage is where in the loop something happened.
type Stage string

// The stages that give feedback.
const (
	StageBuild      Stage = "build"
	StageTest       Stage = "test"
	StageDeploy     Stage = "deploy"
	StagePostDeploy Stage = "post-deploy"
)
