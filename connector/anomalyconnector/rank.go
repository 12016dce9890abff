package anomalyconnector

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/sourcemap"
	"github.com/deployloop/deployloop/internal/suspect"
)

// rankCommits ranks the commits of a range by how well each explains a symptom.
func (m *monitor) rankCommits(symptom suspect.Symptom, commits commitRange, clones []Repository) event.Suspicion {
	o := suspect.Options{PathPrefixes: folders(clones), Ignored: commits.ignored, Owners: commits.owners.Of}
	if maps := m.sourceMaps(clones); maps != nil {
		defer func() { _ = maps.Close() }()
		o.Source = maps.Frame
	}
	return suspect.Rank(symptom, commits.list, o)
}

// sourceMaps opens those of a service; nil: there are none. They are opened
// anew each time: a folder may be replaced with each release.
func (m *monitor) sourceMaps(clones []Repository) *sourcemap.Maps {
	for _, c := range clones {
		if c.SourceMaps == "" {
			continue
		}
		maps, err := sourcemap.Open(c.SourceMaps)
		if err == nil {
			return maps
		}
		m.logger.Warn("the source maps cannot be read; check repositories::source_maps", zap.String("folder", c.SourceMaps), zap.Error(err))
	}
	return nil
}

// sourceFrames are the stacks of errors that come of bundles, led back to their
// sources, by fingerprint.
func (m *monitor) sourceFrames(errors []event.RelatedError, clones []Repository) map[string][]event.Frame {
	maps := m.sourceMaps(clones)
	if maps == nil {
		return nil
	}
	defer func() { _ = maps.Close() }()
	out := map[string][]event.Frame{}
	for _, e := range errors {
		frames, some := slices.Clone(e.Frames), false
		for i, f := range frames {
			if source, ok := maps.Frame(f); ok {
				frames[i], some = source, true
			}
		}
		if some {
			out[e.Fingerprint] = frames
		}
	}
	return out
}

// dress adds to a verdict what the ranking found: the suspects, and the sources
// of bundled code.
func (t *tracked) dress(v *event.Verdict) {
	v.Suspicion = t.suspicion
	if len(t.frames) == 0 {
		return
	}
	v.Related = slices.Clone(v.Related)
	for i := range v.Related {
		if frames, ok := t.frames[v.Related[i].Fingerprint]; ok {
			v.Related[i].Frames = frames
		}
	}
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
