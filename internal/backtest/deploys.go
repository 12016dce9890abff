package backtest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/deployloop/deployloop/internal/event"
)

// Deploy is one line of a file of deployments.
type Deploy struct {
	ID               string    `json:"id"`
	Service          string    `json:"service"`
	Environment      string    `json:"environment"`
	Revision         string    `json:"revision"`
	PreviousRevision string    `json:"previous_revision"`
	Version          string    `json:"version"`
	PreviousVersion  string    `json:"previous_version"`
	StartedAt        time.Time `json:"started_at"`
	FinishedAt       time.Time `json:"finished_at"`
	Instances        []string  `json:"instances"`
}

// SourceDeploys names the file in a deployment's provenance.
const SourceDeploys = "deploys file"

// ReadDeploys reads one JSON object a line, and gives them by start. unknown
// names the keys that say nothing to it, each at its first line.
func ReadDeploys(r io.Reader) (out []Deploy, unknown []string, err error) {
	met := map[string]bool{}
	buffered := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := readLine(buffered)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(bytes.TrimSpace(line)) > 0 {
			d, others, err := readDeploy(line)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", number, err)
			}
			for _, key := range others {
				if !met[key] && len(met) < maxUnknown {
					met[key] = true
					unknown = append(unknown, fmt.Sprintf("line %d: the key %q says nothing here; known are %s", number, key, strings.Join(deployKeys, ", ")))
				}
			}
			out = append(out, d)
		}
		if err != nil {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b Deploy) int { return a.StartedAt.Compare(b.StartedAt) })
	return out, unknown, nil
}

// maxUnknown bounds the unknown keys that are named.
const maxUnknown = 10

// deployKeys are those of Deploy.
var deployKeys = func() (keys []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Deploy]()) {
		keys = append(keys, f.Tag.Get("json"))
	}
	return keys
}()

// otherNames are what other tools call what a key tells, without "_" and the like.
var otherNames = map[string]string{
	"app": "service", "application": "service", "env": "environment", "deploymentenvironment": "environment",
	"commit": "revision", "sha": "revision", "vcsrefheadrevision": "revision", "serviceversion": "version",
	"start": "started_at", "begin": "started_at", "time": "started_at", "timestamp": "started_at", "deployedat": "started_at",
	"end": "finished_at", "completedat": "finished_at", "endedat": "finished_at", "pods": "instances", "hosts": "instances",
}

// readDeploy reads one line. others are keys that it does not know.
func readDeploy(line []byte) (d Deploy, others []string, err error) {
	if err := json.Unmarshal(line, &d); err != nil {
		return d, nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(line, &all); err != nil {
		return d, nil, err
	}
	given := func(key string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(x string) bool { return strings.EqualFold(x, key) })
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if slices.ContainsFunc(deployKeys, func(x string) bool { return strings.EqualFold(x, key) }) {
			continue
		}
		if meant := likelyKey(key); meant != "" && !given(meant) {
			return d, nil, fmt.Errorf("no key is called %q; write %q", key, meant)
		}
		others = append(others, key)
	}
	switch {
	case d.Service == "":
		return d, nil, errors.New("service is missing")
	case d.Revision == "" && d.Version == "":
		return d, nil, errors.New("name a revision or a version")
	case d.StartedAt.IsZero():
		return d, nil, errors.New("started_at is missing (RFC 3339)")
	case !d.FinishedAt.IsZero() && d.FinishedAt.Before(d.StartedAt):
		return d, nil, fmt.Errorf("finished_at, %s, is before started_at, %s", d.FinishedAt.Format(time.RFC3339), d.StartedAt.Format(time.RFC3339))
	}
	return d, others, nil
}

// likelyKey is the known key that an unknown one is likely to mean: written in
// another way ("startedAt", "service.name"), under another name, or misspelt by
// two characters at most. "" where none is.
func likelyKey(key string) string {
	plain := func(s string) string {
		return strings.Map(func(c rune) rune {
			if strings.ContainsRune("_-. ", c) {
				return -1
			}
			return unicode.ToLower(c)
		}, s)
	}
	bare := strings.TrimSuffix(plain(key), "name")
	if known := otherNames[bare]; known != "" {
		return known
	}
	best, distance := "", 3
	for _, known := range deployKeys {
		// One of few characters is as near to any other.
		if n := edits(bare, plain(known), min(2, len(known)/4)); n < distance {
			best, distance = known, n
		}
	}
	return best
}

// edits is how many characters must be put in, taken out, changed or swapped
// with their neighbour to make b of a; a number beyond reach when more than most.
func edits(a, b string, most int) int {
	const far = 1 << 20
	if d := len(a) - len(b); d > most || -d > most {
		return far
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			changed := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	if n := rows[len(a)][len(b)]; n <= most {
		return n
	}
	return far
}

// deployment is d as it is known when it starts, or when it has finished.
func (d Deploy) deployment(finished bool) event.Deployment {
	out := event.Deployment{
		ID: d.ID, Service: d.Service, Environment: d.Environment, Revision: d.Revision, PreviousRevision: d.PreviousRevision,
		Version: d.Version, PreviousVersion: d.PreviousVersion, StartedAt: d.StartedAt.UTC(), Instances: d.Instances,
		Status: event.DeploymentStarted, Sources: []event.Source{{Name: SourceDeploys, ID: d.ID, At: d.StartedAt.UTC()}},
	}
	if finished {
		out.FinishedAt, out.Status = d.FinishedAt.UTC(), event.DeploymentSucceeded
	}
	return out
}

// sortNotices puts what is told in order of time, as given within a second.
func sortNotices(list []notice) {
	slices.SortStableFunc(list, func(a, b notice) int { return cmp.Compare(a.second, b.second) })
}
