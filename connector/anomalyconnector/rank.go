package anomalyconnector

import (
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// rankCommits ranks the commits of a range by how well each explains a symptom.
func rankCommits(symptom suspect.Symptom, commits commitRange, clones []Repository) event.Suspicion {
	return suspect.Rank(symptom, commits.list, suspect.Options{PathPrefixes: folders(clones), Ignored: commits.ignored, Owners: commits.owners.Of})
}

// folders are the fixed beginnings of the configured globs: a runtime tells
// paths from the service's folder on, the repository from its root.
func folders(clones []Repository) []string {
	var out []string
	for _, c := range clones {
		for _, glob := range c.Paths {
			if i := strings.IndexAny(glob, "*?[{"); i >= 0 {
				glob = glob[:strings.LastIndexByte(glob[:i], '/')+1]
			}
			if glob = strings.Trim(glob, "/"); glob != "" && !containsID(out, glob) {
				out = append(out, glob)
			}
		}
	}
	return out
}
