package cicdreceiver

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/deployloop/deployloop/internal/event"
)

// toPdata turns what the SDK collected into what a pipeline takes: sums of
// integers and histograms of floats, the two that runMetrics makes.
func toPdata(data metricdata.ResourceMetrics, version string) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr(event.AttrServiceName, serviceName)
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName(scopeName)
	scope.Scope().SetVersion(version)
	for _, collected := range data.ScopeMetrics {
		for _, m := range collected.Metrics {
			out := scope.Metrics().AppendEmpty()
			out.SetName(m.Name)
			out.SetDescription(m.Description)
			out.SetUnit(m.Unit)
			switch points := m.Data.(type) {
			case metricdata.Sum[int64]:
				sum := out.SetEmptySum()
				sum.SetIsMonotonic(points.IsMonotonic)
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for _, p := range points.DataPoints {
					point := sum.DataPoints().AppendEmpty()
					point.SetStartTimestamp(pcommon.NewTimestampFromTime(p.StartTime))
					point.SetTimestamp(pcommon.NewTimestampFromTime(p.Time))
					point.SetIntValue(p.Value)
					putAttributes(point.Attributes(), p.Attributes)
				}
			case metricdata.Histogram[float64]:
				histogram := out.SetEmptyHistogram()
				histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for _, p := range points.DataPoints {
					point := histogram.DataPoints().AppendEmpty()
					point.SetStartTimestamp(pcommon.NewTimestampFromTime(p.StartTime))
					point.SetTimestamp(pcommon.NewTimestampFromTime(p.Time))
					point.SetCount(p.Count)
					point.SetSum(p.Sum)
					if low, ok := p.Min.Value(); ok {
						point.SetMin(low)
					}
					if high, ok := p.Max.Value(); ok {
						point.SetMax(high)
					}
					point.ExplicitBounds().FromRaw(p.Bounds)
					point.BucketCounts().FromRaw(p.BucketCounts)
					putAttributes(point.Attributes(), p.Attributes)
				}
			}
		}
	}
	return metrics
}

func putAttributes(to pcommon.Map, set attribute.Set) {
	for _, kv := range set.ToSlice() {
		switch kv.Value.Type() {
		case attribute.BOOL: // otel.metric.overflow
			to.PutBool(string(kv.Key), kv.Value.AsBool())
		default:
			to.PutStr(string(kv.Key), strings.ToValidUTF8(kv.Value.String(), "\uFFFD"))
		}
	}
}
