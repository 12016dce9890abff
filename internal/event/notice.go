package event

import "time"

// NoticeKind is what of a deployment nobody said.
type NoticeKind string

// The kinds of notice.
const (
	NoticeUntracked NoticeKind = "untracked" // a new version in telemetry that no deploy source told of
	NoticePhantom   NoticeKind = "phantom"   // told by a deploy source, and no telemetry of it comes
	NoticeDark      NoticeKind = "dark"      // its telemetry comes, and it serves no request
)

// NoticeKinds lists them all.
var NoticeKinds = []NoticeKind{NoticeUntracked, NoticePhantom, NoticeDark}

// Notice is what the ledger knows of a deployment and nobody said. It is open
// while it holds.
type Notice struct {
	Kind        NoticeKind `json:"kind"`
	Deployment  string     `json:"deployment"` // its id
	Service     string     `json:"service"`
	Environment string     `json:"environment"`
	Version     string     `json:"version,omitempty"`
	Revision    string     `json:"revision,omitempty"`
	Since       time.Time  `json:"since"` // the deployment's start, of a dark one its first telemetry
	At          time.Time  `json:"at"`    // of this record
	Open        bool       `json:"open"`
	Detail      string     `json:"detail"` // in words, with the next step
}
