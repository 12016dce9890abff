package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// DeploymentStatus is how far a rollout came.
type DeploymentStatus string

// The statuses that POST /v1/deployments takes.
const (
	DeploymentStarted    DeploymentStatus = "started"
	DeploymentSucceeded  DeploymentStatus = "succeeded"
	DeploymentFailed     DeploymentStatus = "failed"
	DeploymentRolledBack DeploymentStatus = "rolled_back"
)

// Deployment is one rollout of a revision of a service to an environment.
// A source fills what it knows; the ledger reconciles the sources into one.
type Deployment struct {
	ID               string           `json:"id"` // the ledger's, see DeploymentID
	Aliases          []string         `json:"aliases,omitempty"`
	Service          string           `json:"service"`
	Environment      string           `json:"environment"`
	Revision         string           `json:"revision,omitempty"`
	PreviousRevision string           `json:"previous_revision,omitempty"`
	Version          string           `json:"version,omitempty"`
	PreviousVersion  string           `json:"previous_version,omitempty"`
	Status           DeploymentStatus `json:"status,omitempty"`
	StartedAt        time.Time        `json:"started_at"`
	FinishedAt       time.Time        `json:"finished_at,omitzero"`
	FirstSeenAt      time.Time        `json:"first_seen_at,omitzero"` // first telemetry of the new version
	Ordinal          int              `json:"ordinal"`                // how often this revision was deployed there before
	Baseline         bool             `json:"baseline,omitempty"`     // the first version ever seen: not a deployment
	RollbackOf       string           `json:"rollback_of,omitempty"`  // id of the deployment that this one undid
	URL              string           `json:"url,omitempty"`
	Repository       string           `json:"repository,omitempty"`
	RollbackCommand  string           `json:"rollback_command,omitempty"`
	Instances        []string         `json:"instances,omitempty"` // service.instance.id of the new cohort, when told
	Sources          []Source         `json:"sources,omitempty"`   // provenance, in order of arrival
}

// GeneratedIDPrefix begins an id that a receiver made up for an event that
// named none: it finds the deployment, and tells nothing of which one it is.
const GeneratedIDPrefix = "api-"

// Source says who told about something, and when; and how a rollback through it
// would name things, as far as it told.
type Source struct {
	Name string    `json:"name"` // "api", "github", "telemetry", …
	ID   string    `json:"id,omitempty"`
	At   time.Time `json:"at"`

	Object   string `json:"object,omitempty"`   // what it deploys, in its own words: "shop/checkout" (namespace/name), a project's URL
	Release  string `json:"release,omitempty"`  // its own number or name of what is deployed now: a Helm revision, a history id, a run's id
	Previous string `json:"previous,omitempty"` // the Release that it would go back to
}

// The deploy sources whose rollback is known; the receiver writes these names,
// package wording reads them.
const (
	SourceArgoCD       = "argocd"        // Object namespace/application, Release the id in its history
	SourceArgoRollouts = "argo_rollouts" // Object namespace/rollout, Release its revision
	SourceFlux         = "flux"          // Object kind/namespace/name, Release the source's revision, or namespace/release.v3 of Helm
	SourceFlagger      = "flagger"       // Object namespace/canary
	SourceSpinnaker    = "spinnaker"     // Object application/pipeline, Release the parameter that chose it: version=1.42.0
	SourceHelm         = "helm"          // Object namespace/release, Release its revision
	SourceKubectl      = "kubectl"       // Object namespace/kind/name, Release its revision
	SourceGitHub       = "github"        // Object owner/repository, Release the id of the workflow's run
	SourceGitLab       = "gitlab"        // Object the project's URL, Release the id of the job
)

// Label is what a person calls the deployed thing: the version, else a short revision.
func (d Deployment) Label() string {
	if d.Version != "" {
		return d.Version
	}
	return ShortRevision(d.Revision)
}

// PreviousLabel is Label for what was there before.
func (d Deployment) PreviousLabel() string {
	if d.PreviousVersion != "" {
		return d.PreviousVersion
	}
	return ShortRevision(d.PreviousRevision)
}

// ShortRevision cuts a full commit id to seven digits and leaves anything else alone.
func ShortRevision(revision string) string {
	if len(revision) < 40 {
		return revision
	}
	return revision[:7]
}

// SameVersion holds for "1.2.3" and its tag "v1.2.3", and for one that says its
// rollout beside one that does not.
func SameVersion(a, b string) bool {
	if trimV(a) == trimV(b) || a == "" || b == "" || !hasRollout(a) && !hasRollout(b) {
		return trimV(a) == trimV(b) // of nearly all
	}
	versionA, rolloutA := SplitRollout(a)
	versionB, rolloutB := SplitRollout(b)
	if versionA == "" || versionB == "" { // known by the rollout alone
		return rolloutA == rolloutB
	}
	return trimV(versionA) == trimV(versionB) && (rolloutA == rolloutB || rolloutA == "" || rolloutB == "")
}

// SameImage holds for versions that differ in their rollout at most.
func SameImage(a, b string) bool {
	a, _ = SplitRollout(a)
	b, _ = SplitRollout(b)
	return a != "" && trimV(a) == trimV(b)
}

// rolloutMark stands before the hash of a Kubernetes ReplicaSet in a version that
// was read from its pods. Semantic versioning calls what follows a + build metadata,
// and no image's tag can hold one.
const rolloutMark = "rs."

// JoinRollout adds a rollout to a version: 1.42.0+rs.7d9f8b6c5d, or rs.7d9f8b6c5d
// where nothing else is known.
func JoinRollout(version, rollout string) string {
	switch {
	case rollout == "":
		return version
	case version == "":
		return rolloutMark + rollout
	}
	return version + "+" + rolloutMark + rollout
}

func hasRollout(version string) bool {
	return strings.IndexByte(version, '+') >= 0 || strings.HasPrefix(version, rolloutMark)
}

// SplitRollout undoes JoinRollout.
func SplitRollout(version string) (string, string) {
	if before, rollout, found := strings.Cut(version, "+"+rolloutMark); found {
		return before, rollout
	}
	if rollout, found := strings.CutPrefix(version, rolloutMark); found {
		return "", rollout
	}
	return version, ""
}

// FinerVersion is what two names of one version say together: a, with what only b
// knows of version and rollout.
func FinerVersion(a, b string) string {
	versionA, rolloutA := SplitRollout(a)
	versionB, rolloutB := SplitRollout(b)
	if versionA == "" {
		versionA = versionB
	}
	if rolloutA == "" {
		rolloutA = rolloutB
	}
	return JoinRollout(versionA, rolloutA)
}

func trimV(s string) string {
	if len(s) > 1 && s[0] == 'v' && s[1] >= '0' && s[1] <= '9' {
		return s[1:]
	}
	return s
}

// SameRevision holds for a commit id and its abbreviation of at least 7 digits.
func SameRevision(a, b string) bool {
	if a == b {
		return a != ""
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= 7 && len(a) < len(b) && strings.EqualFold(a, b[:len(a)]) && isHex(b)
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// DeploymentID is the ledger's id of a deployment: the first 12 hex digits of
// SHA-256 over service, environment, revision (else version) and ordinal (how
// often that revision was deployed there before, so that A→B→A are three).
func DeploymentID(service, environment, revisionOrVersion string, ordinal int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{service, environment, revisionOrVersion, strconv.Itoa(ordinal)}, "\x00")))
	return hex.EncodeToString(sum[:])[:12]
}
