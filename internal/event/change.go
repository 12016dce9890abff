package event

import "time"

// Change is one commit as it landed on a branch.
type Change struct {
	Repository string    `json:"repository"` // as the forge names it, e.g. "acme/shop", or a clone's path
	Ref        string    `json:"ref,omitempty"`
	Revision   string    `json:"revision"`           // full commit id
	Parents    []string  `json:"parents,omitempty"`  // commit ids, first parent first, when known
	Previous   string    `json:"previous,omitempty"` // what the branch pointed to just before (push order)
	Forced     bool      `json:"forced,omitempty"`   // a force-push: Previous need not be an ancestor
	Message    string    `json:"message,omitempty"`
	Author     string    `json:"author,omitempty"`
	Email      string    `json:"email,omitempty"`
	At         time.Time `json:"at"` // committed
	URL        string    `json:"url,omitempty"`
	CompareURL string    `json:"compare_url,omitempty"`
	PullURL    string    `json:"pull_url,omitempty"`
	PullHead   string    `json:"pull_head,omitempty"` // of a merge or squash: the last commit of the pull request, which is what was tested
	Added      []string  `json:"added,omitempty"`     // paths
	Modified   []string  `json:"modified,omitempty"`
	Removed    []string  `json:"removed,omitempty"`
}
