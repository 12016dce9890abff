package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/exporter/alertmanagerexporter"
	"github.com/deployloop/deployloop/exporter/forgeexporter"
	"github.com/deployloop/deployloop/exporter/grafanaannotationexporter"
	"github.com/deployloop/deployloop/extension/consoleextension"
	"github.com/deployloop/deployloop/extension/ledgerextension"
	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/processor/deploymarkerprocessor"
	"github.com/deployloop/deployloop/receiver/cicdreceiver"
)

// wiring answers what the pipelines of a configuration connect.
type wiring struct{ config *otelcol.Config }

// part is a component that some pipeline names.
type part[T any] struct {
	id     component.ID
	config T
}

// key of the part in the configuration.
func (p part[T]) key(kind string) string { return kind + "::" + p.id.String() }

// partsOf lists the components whose configuration is of a type, in order.
func partsOf[T any](configs map[component.ID]component.Config) []part[T] {
	var list []part[T]
	for id, config := range configs {
		if own, ok := config.(T); ok {
			list = append(list, part[T]{id, own})
		}
	}
	slices.SortFunc(list, func(a, b part[T]) int { return cmp.Compare(a.id.String(), b.id.String()) })
	return list
}

// used keeps what some pipeline names among its receivers or exporters.
func used[T any](w wiring, list []part[T]) []part[T] {
	return slices.DeleteFunc(slices.Clone(list), func(p part[T]) bool {
		for _, one := range w.config.Service.Pipelines {
			if slices.Contains(one.Receivers, p.id) || slices.Contains(one.Exporters, p.id) {
				return false
			}
		}
		return true
	})
}

// started keeps the extensions that the service starts.
func started[T any](w wiring, list []part[T]) []part[T] {
	return slices.DeleteFunc(slices.Clone(list), func(p part[T]) bool { return !slices.Contains(w.config.Service.Extensions, p.id) })
}

// takes lists the pipelines of a receiver, in order.
func (w wiring) takes(receiver component.ID) []pipeline.ID {
	var list []pipeline.ID
	for id, p := range w.config.Service.Pipelines {
		if slices.Contains(p.Receivers, receiver) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b pipeline.ID) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// before lists a pipeline and all whose data reaches it through connectors.
func (w wiring) before(id pipeline.ID) map[pipeline.ID]bool {
	return w.reach(id, func(from, to pipeline.ID) bool { return w.feeds(to, from) })
}

// after lists a pipeline and all that its data reaches through connectors.
func (w wiring) after(id pipeline.ID) map[pipeline.ID]bool { return w.reach(id, w.feeds) }

// feeds: a connector is an exporter of one and a receiver of the other. The
// anomaly connector passes no telemetry on.
func (w wiring) feeds(from, to pipeline.ID) bool {
	return slices.ContainsFunc(w.config.Service.Pipelines[from].Exporters, func(id component.ID) bool {
		connector, is := w.config.Connectors[id]
		_, watches := connector.(*anomalyconnector.Config)
		return is && !watches && slices.Contains(w.config.Service.Pipelines[to].Receivers, id)
	})
}

func (w wiring) reach(id pipeline.ID, next func(from, to pipeline.ID) bool) map[pipeline.ID]bool {
	seen, todo := map[pipeline.ID]bool{id: true}, []pipeline.ID{id}
	for len(todo) > 0 {
		from := todo[0]
		todo = todo[1:]
		for to := range w.config.Service.Pipelines {
			if !seen[to] && next(from, to) {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	return seen
}

// marks: a deploy_marker stands in one of the pipelines.
func (w wiring) marks(pipelines map[pipeline.ID]bool) bool {
	for id := range pipelines {
		for _, p := range w.config.Service.Pipelines[id].Processors {
			if _, ok := w.config.Processors[p].(*deploymarkerprocessor.Config); ok {
				return true
			}
		}
	}
	return false
}

// from lists the pipelines that a receiver's data of a signal reaches.
func (w wiring) from(receiver component.ID, signal pipeline.Signal) map[pipeline.ID]bool {
	all := map[pipeline.ID]bool{}
	for _, id := range w.takes(receiver) {
		if id.Signal() == signal {
			maps.Copy(all, w.after(id))
		}
	}
	return all
}

// findings of the wiring: what is connected wrongly, or not at all.
func (w wiring) findings() []doctor.Finding {
	var list []doctor.Finding
	watchers := used(w, partsOf[*anomalyconnector.Config](w.config.Connectors))
	list = append(list, w.watching(watchers)...)
	list = append(list, w.learning()...)
	list = append(list, w.telling(watchers)...)
	list = append(list, w.keeping(watchers)...)
	if len(list) == 0 {
		list = []doctor.Finding{doctor.Good("valid; all signals are watched, deployments are learnt, and verdicts reach somebody")}
	}
	return list
}

// watching: each signal reaches the anomaly connector, by a deploy_marker.
func (w wiring) watching(watchers []part[*anomalyconnector.Config]) (list []doctor.Finding) {
	if len(watchers) == 0 {
		return []doctor.Finding{doctor.Fail(doctor.CauseNotWatched, "no anomaly connector is in a pipeline: nothing is watched",
			"add anomaly to the exporters of the traces, metrics and logs pipelines, and to the receivers of logs/verdicts and metrics/loop")}
	}
	watched := map[pipeline.Signal]bool{}
	for _, id := range slices.SortedFunc(maps.Keys(w.config.Service.Pipelines), func(a, b pipeline.ID) int { return cmp.Compare(a.String(), b.String()) }) {
		p := w.config.Service.Pipelines[id]
		if !slices.ContainsFunc(watchers, func(x part[*anomalyconnector.Config]) bool { return slices.Contains(p.Exporters, x.id) }) {
			continue
		}
		watched[id.Signal()] = true
		if !w.marks(w.before(id)) {
			list = append(list, doctor.Fail(doctor.CauseNotMarked, fmt.Sprintf("pipeline %s has no deploy_marker: its telemetry is not tied to deployments", id),
				fmt.Sprintf("add deploy_marker to service::pipelines::%s::processors", id)))
		}
	}
	for _, signal := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalMetrics, pipeline.SignalLogs} {
		if !watched[signal] {
			list = append(list, doctor.Warn(doctor.CauseSignalNotWatched, fmt.Sprintf("no %s reach the anomaly connector", signal),
				fmt.Sprintf("add %s to the exporters of a %s pipeline", watchers[0].id, signal)))
		}
	}
	return list
}

// learning: what the cicd receiver is told reaches a deploy_marker.
func (w wiring) learning() (list []doctor.Finding) {
	for _, r := range partsOf[*cicdreceiver.Config](w.config.Receivers) {
		if reached := w.from(r.id, pipeline.SignalLogs); !w.marks(reached) {
			list = append(list, doctor.Fail(doctor.CauseDeploymentsUnrouted, fmt.Sprintf("what %s is told reaches no deploy_marker: deployments are not learnt", r.id),
				fmt.Sprintf("service: {pipelines: {logs: {receivers: [otlp, %s], processors: [memory_limiter, deploy_marker], exporters: [anomaly]}}}", r.id)))
		}
	}
	return list
}

// telling: the exporters that tell people get the connector's verdicts, and
// those are of a mode that may be told.
func (w wiring) telling(watchers []part[*anomalyconnector.Config]) (list []doctor.Finding) {
	told := map[component.ID]bool{}
	loop := false
	for _, watcher := range watchers {
		for _, id := range w.takes(watcher.id) {
			loop = loop || id.Signal() == pipeline.SignalMetrics
			if id.Signal() == pipeline.SignalLogs {
				for reached := range w.after(id) {
					for _, exporter := range w.config.Service.Pipelines[reached].Exporters {
						told[exporter] = true
					}
				}
			}
		}
	}
	var tellers []string
	for _, id := range slices.SortedFunc(maps.Keys(w.config.Exporters), func(a, b component.ID) int { return cmp.Compare(a.String(), b.String()) }) {
		switch config := w.config.Exporters[id].(type) {
		case *alertmanagerexporter.Config:
			for _, watcher := range watchers {
				if told[id] && watcher.config.Heartbeat != config.Heartbeat {
					list = append(list, doctor.Fail(doctor.CauseHeartbeatsDiffer, fmt.Sprintf("%s expects a heartbeat of %s, and %s beats every %s: alerts end while they are true, or too late", id, config.Heartbeat, watcher.id, watcher.config.Heartbeat),
						fmt.Sprintf("exporters: {%s: {heartbeat: %s}}", id, watcher.config.Heartbeat)))
				}
			}
		case *grafanaannotationexporter.Config, *forgeexporter.Config:
		default:
			continue
		}
		if len(watchers) > 0 && !told[id] {
			list = append(list, doctor.Fail(doctor.CauseExporterUnused, fmt.Sprintf("%s is configured and gets no verdicts", id),
				fmt.Sprintf("service: {pipelines: {logs/verdicts: {receivers: [%s], exporters: [%s]}}}", watchers[0].id, id)))
		}
		tellers = append(tellers, id.String())
	}
	for _, watcher := range watchers {
		speaks := watcher.config.Mode != event.Shadow || slices.ContainsFunc(watcher.config.Overrides, func(o anomalyconnector.Override) bool {
			return o.Mode == event.Advise || o.Mode == event.Gate
		})
		if !speaks && len(tellers) > 0 {
			list = append(list, doctor.Warn(doctor.CauseModeShadow, fmt.Sprintf("mode is shadow: verdicts are on the page, and %s sends no alert", strings.Join(tellers, ", ")),
				fmt.Sprintf("when the verdicts convince: connectors: {%s: {mode: advise}}", watcher.id)))
		}
	}
	if len(watchers) > 0 && len(tellers) == 0 {
		list = append(list, doctor.Warn(doctor.CauseNobodyTold, "no Alertmanager, Grafana or forge is set: verdicts are on the page only",
			"with the built-in configuration: export "+envAlertmanager+"=http://127.0.0.1:9093; else exporters: {alertmanager: {endpoints: [http://127.0.0.1:9093]}}, in a pipeline logs/verdicts"))
	}
	if len(watchers) > 0 && !loop {
		list = append(list, doctor.Warn(doctor.CauseLoopMetricsUnrouted, "the loop's metrics go nowhere (the console's /metrics has them too)",
			fmt.Sprintf("service: {pipelines: {metrics/loop: {receivers: [%s], exporters: [prometheus]}}}", watchers[0].id)))
	}
	return list
}

// keeping: what is learnt is kept over a restart, and can be looked at.
func (w wiring) keeping(watchers []part[*anomalyconnector.Config]) (list []doctor.Finding) {
	for _, l := range started(w, partsOf[*ledgerextension.Config](w.config.Extensions)) {
		if l.config.Storage == nil {
			list = append(list, doctor.Warn(doctor.CauseLedgerInMemory, fmt.Sprintf("%s is in memory only: a restart forgets deployments and alerts", l.id),
				fmt.Sprintf("extensions: {%s: {storage: file_storage}}", l.id)))
		}
	}
	for _, c := range watchers {
		if c.config.Storage == nil {
			list = append(list, doctor.Warn(doctor.CauseLedgerInMemory, fmt.Sprintf("%s keeps no baselines: it learns anew after a restart", c.id),
				fmt.Sprintf("connectors: {%s: {storage: file_storage}}", c.id)))
		}
	}
	if len(watchers) > 0 && len(started(w, partsOf[*consoleextension.Config](w.config.Extensions))) == 0 {
		list = append(list, doctor.Warn(doctor.CauseNoConsole, "no console is started: there is no page, no gate and no coverage report",
			"extensions: {console: {endpoint: 127.0.0.1:8090, ledger: ledger}}, and service::extensions: [file_storage, ledger, console]"))
	}
	return list
}
