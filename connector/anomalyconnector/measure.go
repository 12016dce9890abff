package anomalyconnector

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// tellDetection tells the ledger how far detection can be relied on: what
// placebos came to, and which services are looked at without a deployment.
func (m *monitor) tellDetection(now time.Time) {
	m.ledger.RecordDetection(ledger.Detection{By: m.id.String(), At: now, Placebos: m.engine.Status().Placebos.PlaceboCount, Searches: m.engine.Searches()})
}

// measure emits the loop's metrics and the detector's own.
func (m *monitor) measure(now time.Time) {
	if m.metrics == nil {
		return
	}
	metrics := pmetric.NewMetrics()
	scope := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName(scopeName)
	m.written.Append(append(m.loop.Collect(now), m.own()...), now, scope.Metrics())
	send := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		if err := m.metrics.ConsumeMetrics(ctx, metrics); err != nil && ctx.Err() == nil {
			m.logger.Warn("the loop's metrics could not be handed over; the next tick tells them again", zap.Error(err))
		}
	}
	if m.manual {
		send(m.ctx)
		return
	}
	select {
	case m.measuring <- struct{}{}: // one hand-over at a time; a slow one skips ticks
		m.background(func(ctx context.Context) func() {
			defer func() { <-m.measuring }()
			send(ctx)
			return nil
		})
	default:
	}
}

// own are the detector's sizes and what it did not use.
func (m *monitor) own() []loopmetrics.Family {
	status := m.engine.Status()
	point := func(v float64, labels ...event.KeyText) loopmetrics.Point {
		return loopmetrics.Point{Labels: labels, Value: v}
	}
	lost := loopmetrics.Family{
		Name: event.MetricTelemetryLost, Unit: "{item}", Kind: loopmetrics.Counter,
		Description: "Telemetry that detection did not use as it came, by the reason",
	}
	for _, l := range m.lost() {
		lost.Points = append(lost.Points, point(float64(l.Count), event.KeyText{Key: "reason", Text: l.Name}))
	}
	size := loopmetrics.Family{
		Name: event.MetricDetectorSize, Unit: "{item}", Kind: loopmetrics.Gauge,
		Description: "What the detector holds, by kind",
	}
	for _, s := range []struct {
		kind string
		n    int
	}{
		{"services", status.Services}, {"sources", status.Sources}, {"operations", status.Operations},
		{"patterns", status.Patterns}, {"watches", status.OpenWatches}, {"indicators", status.Indicators}, {"placebos", status.Placebos.Running},
	} {
		size.Points = append(size.Points, point(float64(s.n), event.KeyText{Key: "kind", Text: s.kind}))
	}
	search := loopmetrics.Family{
		Name: event.MetricAlwaysOn, Unit: "{service}", Kind: loopmetrics.Gauge,
		Description: "Services by how the search for what gets worse without a deployment stands with them",
	}
	stand := map[event.SearchState]int{}
	for _, s := range m.engine.Searches() {
		stand[s.State]++
	}
	for _, state := range event.SearchStates() {
		search.Points = append(search.Points, point(float64(stand[state]), event.KeyText{Key: "state", Text: string(state)}))
	}
	placebos := &status.Placebos
	families := []loopmetrics.Family{lost, size, search}
	for _, f := range []struct {
		name, unit, text string
		kind             loopmetrics.Kind
		value            float64
	}{
		{event.MetricPlaceboWindows, "{window}", "Watches of deployments that never were, that ended", loopmetrics.Counter, float64(placebos.Windows)},
		{event.MetricPlaceboFalseAlarms, "{window}", "Those that would have been called regressed", loopmetrics.Counter, float64(placebos.FalseAlarms)},
		{event.MetricPlaceboDropped, "{window}", "Those that did not end, or held no data", loopmetrics.Counter, float64(placebos.Dropped)},
		{event.MetricPlaceboRate, "1", "Realised rate of false alarms a placebo window", loopmetrics.Gauge, placebos.Rate},
		{event.MetricPlaceboRateLower, "1", "Lower end of its 95 % Wilson interval", loopmetrics.Gauge, placebos.Interval[0]},
		{event.MetricPlaceboRateUpper, "1", "Upper end of its 95 % Wilson interval", loopmetrics.Gauge, placebos.Interval[1]},
	} {
		families = append(families, loopmetrics.Family{Name: f.name, Unit: f.unit, Kind: f.kind, Description: f.text, Points: []loopmetrics.Point{point(f.value)}})
	}
	return families
}
