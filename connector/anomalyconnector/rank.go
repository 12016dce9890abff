package anomalyconnector

import (
	"strings"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/sourcemap"
	"github.com/deployloop/deployloop/internal/suspect"
)

// rankCommits ranks the commits of a range by how well each explains a symptom.
func (m *monitor) rankCommits(symptom suspect.Symptom, commits commitRange, clones []Repository) event.Suspicion {
	o := suspect.Options{PathPrefixes: folders(clones), Ignored: commits.ignored, Owners: commits.owners.Of}
	for _, c := range clones {
		if c.SourceMaps == "" {
			continue
		}
		// Opened anew each time: a folder may be replaced with each release.
		maps, err := sourcemap.Open(c.SourceMaps)
		if err != nil {
			m.logger.Warn("the source maps cannot be read; check repositories::source_maps", zap.String("folder", c.SourceMaps), zap.Error(err))
			continue
		}
		defer func() { _ = maps.Close() }()
		o.Source = maps.Frame
		break
	}
	return suspect.Rank(symptom, commits.list, o)
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
