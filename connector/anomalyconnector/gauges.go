package anomalyconnector

import (
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/detect"
)

// maxSeries bounds the text of a point's attributes, in bytes.
const maxSeries = 256

func (m *monitor) readGauge(s *source, metric pmetric.Metric, worse detect.Worse, golden bool) {
	var in pmetric.NumberDataPointSlice
	if metric.Type() == pmetric.MetricTypeSum { // one that goes up and down
		in = metric.Sum().DataPoints()
	} else {
		in = metric.Gauge().DataPoints()
	}
	for _, p := range in.All() {
		value, ok := recorded(p)
		if !ok {
			continue
		}
		x := detect.Sample{Name: metric.Name(), At: m.pointTime(p.Timestamp()), Value: value, Worse: worse, Golden: golden}
		x.Series, x.Callee = seriesText(p.Attributes())
		s.engine.Gauge(x)
	}
}

// calleeNames are the attributes that name the service which a client's gauge
// speaks of.
var calleeNames = []string{"server", "peer.service", "destination.service.name", "destination_service_name"}

// seriesText is a point's attributes as text, in order of their keys, and the
// service that it calls. The caller's and the callee's names are not part of
// the series of what a caller sees: they are the client and the place.
func seriesText(attributes pcommon.Map) (labels, callee string) {
	if attributes.Len() == 0 {
		return "", ""
	}
	parts := make([]string, 0, attributes.Len())
	for key, value := range attributes.All() {
		if slices.Contains(calleeNames, key) {
			if callee == "" {
				callee = text(value)
			}
			continue
		}
		parts = append(parts, key+"="+text(value))
	}
	slices.Sort(parts)
	joined := strings.Join(parts, " ")
	return joined[:min(len(joined), maxSeries)], callee
}

// Words in a gauge's name that tell which way is worse, first match wins. The
// golden ones say how well requests are served.
var directions = []struct {
	words  []string
	worse  detect.Worse
	golden bool
}{
	{[]string{"success", "availability", "apdex"}, detect.WorseLower, true},
	{[]string{"error", "fail", "latency", "duration", "response_time", "response.time"}, detect.WorseHigher, true},
	{[]string{"free", "available", "idle", "hit_ratio", "hit.ratio", "hit_rate", "throughput"}, detect.WorseLower, false},
	{[]string{"cpu", "memory", "heap", "queue", "lag", "pending", "utilization", "usage", "saturation", "restart", "gc.", "gc_", "threads", "goroutine", "connections"}, detect.WorseHigher, false},
}

// direction says which way a gauge gets worse: from the settings, else from its name.
func (m *monitor) direction(name string) (worse detect.Worse, golden bool) {
	for _, d := range directions {
		if slices.ContainsFunc(d.words, func(w string) bool { return says(name, w) }) {
			worse, golden = d.worse, d.golden
			break
		}
	}
	for _, g := range m.config.Gauges {
		if ok, _ := path.Match(noFolders.Replace(g.Name), noFolders.Replace(name)); ok {
			worse = map[string]detect.Worse{"lower": detect.WorseLower, "higher": detect.WorseHigher, "both": detect.WorseBoth}[g.Worse]
			return worse, golden
		}
	}
	return worse, golden
}

// noFolders lets a glob's star stand for the slashes of a metric's name, too.
var noFolders = strings.NewReplacer("/", ".")

// says whether a word is in a name. A short one must begin one of the name's
// own words: a lag is in "consumerLag", and none in "feature_flag".
func says(name, word string) bool {
	lower := strings.ToLower(name)
	for from := 0; ; {
		i := strings.Index(lower[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if len(word) > 3 || i == 0 || len(lower) != len(name) {
			return true
		}
		if before, c := lower[i-1], name[i]; before < 'a' || before > 'z' || c >= 'A' && c <= 'Z' {
			return true
		}
		from = i + 1
	}
}
