package anomalyconnector

import "go.opentelemetry.io/collector/pdata/pmetric"

// readMetrics takes nothing of metrics into a verdict yet: spans and logs carry
// the indicators. What came is counted by name, so that nobody takes a wired
// metrics pipeline for evidence.
func (m *monitor) readMetrics(md pmetric.Metrics) {
	m.refused.add(lossMetrics, uint64(md.DataPointCount()))
}

const lossMetrics = "metric_points_unused"
