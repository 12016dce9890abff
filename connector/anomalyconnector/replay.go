package anomalyconnector

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// Replay is the connector on a virtual clock, without a collector around it:
// the same readers, engine, alerts and closures, driven by its caller from one
// goroutine. What happens in the background live is waited for at each step,
// so the same calls give the same results.
type Replay struct {
	monitor *monitor
	ledger  *ledger.Ledger
	infer   bool
	now     time.Time
}

// NewReplay begins at start. infer says that deployments are inferred from the
// telemetry, as the deploy_marker processor does, rather than told by Deploy.
// The settings that concern a live collector (ledger, storage, heartbeat and
// the limits of CPU and memory) have no effect.
func NewReplay(config *Config, start time.Time, infer bool, logger *zap.Logger) *Replay {
	own := *config
	own.Storage, own.Heartbeat, own.Limits.CPU, own.Limits.Memory = nil, math.MaxInt64, math.Inf(1), 0
	r := &Replay{ledger: ledger.New(ledger.Limits{Retention: 100 * 365 * 24 * time.Hour}), infer: infer, now: start}
	set := connector.Settings{ID: component.NewID(Type)}
	set.Logger = logger
	m := newMonitor(set, &own)
	m.manual, m.ledger = true, r.ledger
	m.now = func() time.Time { return r.now }
	m.engine, m.began = newEngineAt(&own, start), start.UnixNano()
	m.loop = loopmetrics.NewTracker(r.ledger)
	m.stepped, m.written.Start = start, start
	m.updates, m.forget = r.ledger.Subscribe(10_000)
	r.monitor = m
	return r
}

// Close ends the replay.
func (r *Replay) Close() {
	r.monitor.cancel()
	r.monitor.work.Wait()
	r.monitor.forget()
}

// Traces reads spans that ended at about at.
func (r *Replay) Traces(td ptrace.Traces, at time.Time) {
	for _, x := range td.ResourceSpans().All() {
		r.sight(x.Resource().Attributes(), at)
	}
	r.monitor.readTraces(td)
}

// Metrics reads points of about at.
func (r *Replay) Metrics(md pmetric.Metrics, at time.Time) {
	for _, x := range md.ResourceMetrics().All() {
		r.sight(x.Resource().Attributes(), at)
	}
	r.monitor.readMetrics(md)
}

// Logs reads records of about at.
func (r *Replay) Logs(ld plog.Logs, at time.Time) {
	for _, x := range ld.ResourceLogs().All() {
		r.sight(x.Resource().Attributes(), at)
	}
	r.monitor.readLogs(ld)
}

// sight infers a deployment from a resource. What was recorded before deploy_marker
// gets the version that it would have stamped on a pod.
func (r *Replay) sight(attributes pcommon.Map, at time.Time) {
	var id identity
	id.read(attributes)
	if id.service == "" || strings.HasPrefix(id.service, "unknown_service") {
		return
	}
	if id.version == "" && id.revision == "" {
		if id.version = eventotlp.PodVersion(attributes); id.version != "" {
			attributes.PutStr(event.AttrServiceVersion, id.version)
		}
	}
	if !r.infer {
		return
	}
	r.ledger.RecordSighting(ledger.Sighting{Service: id.service, Environment: id.environment,
		Version: strings.Clone(id.version), Revision: strings.Clone(id.revision), Instance: id.instance, At: at})
}

// Deploy tells of a deployment and gives the one that it became.
func (r *Replay) Deploy(d event.Deployment) event.Deployment {
	became, _ := r.ledger.RecordDeployment(d)
	return became
}

// Step lets the clock reach now, and gives the verdicts that changed by their
// deployments' order of start, and the anomalies that opened or ended, by the
// same order, a deployment's roll-up first.
func (r *Replay) Step(now time.Time) ([]event.Verdict, []event.Anomaly) {
	r.now = now
	r.monitor.step(now)
	r.settle()
	told := r.monitor.outbox.drain()
	var verdicts []event.Verdict
	var anomalies []event.Anomaly
	for _, t := range told {
		if t.anomaly.ID != "" {
			anomalies = append(anomalies, t.anomaly)
		} else if t.verdict.Deployment.ID != "" {
			verdicts = append(verdicts, t.verdict)
		}
	}
	slices.SortFunc(verdicts, func(a, b event.Verdict) int { return compareDeployments(a.Deployment, b.Deployment) })
	slices.SortFunc(anomalies, func(a, b event.Anomaly) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Deployment, b.Deployment), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return verdicts, anomalies
}

func compareDeployments(a, b event.Deployment) int {
	return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
}

// settle waits for what works beside the loop and takes in its results, until
// nothing does.
func (r *Replay) settle() {
	m := r.monitor
	for {
		idle := make(chan struct{})
		go func() { m.work.Wait(); close(idle) }()
		var results []func()
		for waiting := true; waiting; {
			select {
			case f := <-m.done:
				results = append(results, f)
			case <-idle:
				waiting = false
			}
		}
		for len(m.done) > 0 {
			results = append(results, <-m.done)
		}
		if len(results) == 0 {
			return
		}
		for _, f := range results {
			f()
		}
		m.alert(r.now)
	}
}

// Finish ends the recording, and gives the last verdicts of all deployments, by
// their start.
func (r *Replay) Finish() []event.Verdict {
	r.monitor.engine.Finish()
	var out []event.Verdict
	for _, d := range r.ledger.Deployments(ledger.Query{Limit: math.MaxInt32}) {
		if d.Baseline {
			continue
		}
		v, ok := r.monitor.engine.Verdict(d.ID)
		if !ok {
			if v, ok = r.ledger.Verdict(d.ID); !ok {
				v = event.Verdict{State: event.Inconclusive, Reason: event.ReasonNoData, At: r.now, Control: event.ControlNone,
					Detail: "it was not watched: too many deployments at once"}
			}
		}
		if t := r.monitor.tracked[d.ID]; t != nil {
			v.Affected = t.affected
			t.dress(&v)
		}
		v.Deployment, v.At = d, r.now
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b event.Verdict) int { return compareDeployments(a.Deployment, b.Deployment) })
	return out
}

// Losses are telemetry that was not used, by name.
func (r *Replay) Losses() []event.Loss {
	losses := r.monitor.lost()
	slices.SortFunc(losses, func(a, b event.Loss) int { return cmp.Compare(a.Name, b.Name) })
	return losses
}

// drain empties the outbox, in the order of arrival.
func (o *outbox) drain() []record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 {
		return nil
	}
	out := make([]record, 0, len(o.order))
	for _, key := range o.order {
		out = append(out, o.waiting[key])
	}
	clear(o.waiting)
	o.order = o.order[:0]
	return out
}
