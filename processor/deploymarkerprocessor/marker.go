package deploymarkerprocessor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
)

// maxValue is how many bytes of a version, revision, service or environment
// count, as in the ledger; two that differ only beyond it are the same.
const maxValue = 256

// unknownService begins the name that an SDK gives a service without one.
const unknownService = "unknown_service"

// knowledge is what a marker needs of the ledger.
type knowledge interface {
	ledger.Reader
	ledger.Recorder
}

// marker is one processor of one signal.
type marker struct {
	config *Config
	set    processor.Settings
	signal string
	now    func() time.Time

	ledger    knowledge
	telemetry telemetry
}

func newMarker(config *Config, set processor.Settings, signal string) *marker {
	return &marker{config: config, set: set, signal: signal, now: time.Now}
}

func (m *marker) start(_ context.Context, host component.Host) error {
	found, ok := host.GetExtensions()[m.config.Ledger]
	if !ok {
		return fmt.Errorf("the ledger %q is not there: add it to extensions and to service::extensions", m.config.Ledger)
	}
	m.ledger, ok = found.(knowledge)
	if !ok {
		return fmt.Errorf("the extension %q is no ledger: name an extension of type ledger", m.config.Ledger)
	}
	return m.telemetry.register(m.set, m.signal)
}

func (m *marker) shutdown(context.Context) error { return m.telemetry.unregister() }

// guard keeps a fault of ours from failing the user's pipeline: the data goes
// on, at worst without its marks.
func (m *marker) guard() {
	if r := recover(); r != nil {
		if m.telemetry.count[panicked].Add(1) == 1 {
			m.set.Logger.Error("Marking a batch failed; it passes as it is. This is said once and counted.", zap.Any("panic", r), zap.Stack("stack"))
		}
	}
}

func (m *marker) traces(_ context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	defer m.guard()
	now := m.now()
	for i, all := 0, td.ResourceSpans(); i < all.Len(); i++ {
		scopes, signal := all.At(i).ScopeSpans(), ledger.Traces
		if scopes.Len() > 0 && scopes.At(0).Scope().Name() == event.ScopeCICD {
			signal = noSignal
		}
		m.mark(all.At(i).Resource().Attributes(), now, spanStamp(all.At(i)), signal, m.config.Infer && signal != noSignal)
	}
	return td, nil
}

func (m *marker) metrics(_ context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	defer m.guard()
	now := m.now()
	for i, all := 0, md.ResourceMetrics(); i < all.Len(); i++ {
		scopes, signal := all.At(i).ScopeMetrics(), ledger.Metrics
		if scopes.Len() > 0 && scopes.At(0).Scope().Name() == event.ScopeCICD {
			signal = noSignal
		}
		m.mark(all.At(i).Resource().Attributes(), now, time.Time{}, signal, m.config.Infer && signal != noSignal)
	}
	return md, nil
}

func (m *marker) logs(_ context.Context, ld plog.Logs) (plog.Logs, error) {
	defer m.guard()
	now := m.now()
	for i, all := 0, ld.ResourceLogs(); i < all.Len(); i++ {
		// Whoever tells of deployments is no deployment itself: a CI tool may
		// name the service that it deploys as its own.
		scopes, signal := all.At(i).ScopeLogs(), ledger.Logs
		if m.learn(all.At(i)) || scopes.Len() > 0 && scopes.At(0).Scope().Name() == event.ScopeCICD {
			signal = noSignal
		}
		m.mark(all.At(i).Resource().Attributes(), now, logStamp(all.At(i)), signal, m.config.Infer && signal != noSignal)
	}
	return ld, nil
}

// noSignal is of a resource whose records are no telemetry of its service; the
// ledger takes none.
const noSignal = ledger.Signal(0xff)

// spanStamp is the end of a resource's first span: one is enough to tell how its
// sender's clock goes. Zero when there is none.
func spanStamp(r ptrace.ResourceSpans) time.Time {
	for i, scopes := 0, r.ScopeSpans(); i < scopes.Len(); i++ {
		if spans := scopes.At(i).Spans(); spans.Len() > 0 && spans.At(0).EndTimestamp() != 0 {
			return spans.At(0).EndTimestamp().AsTime()
		}
	}
	return time.Time{}
}

// logStamp is the time of a resource's first log record.
func logStamp(r plog.ResourceLogs) time.Time {
	for i, scopes := 0, r.ScopeLogs(); i < scopes.Len(); i++ {
		if records := scopes.At(i).LogRecords(); records.Len() > 0 && records.At(0).Timestamp() != 0 {
			return records.At(0).Timestamp().AsTime()
		}
	}
	return time.Time{}
}

// mark stamps one resource. It allocates for what it adds only.
func (m *marker) mark(attributes pcommon.Map, now, stamped time.Time, signal ledger.Signal, infer bool) {
	service := m.read(attributes, m.config.Read.Service)
	environment := m.read(attributes, m.config.Read.Environment)
	version := m.read(attributes, m.config.Read.Version)
	revision := m.read(attributes, m.config.Read.Revision)
	if environment == "" {
		environment = m.config.DefaultEnvironment
	}
	var id, ofPod string
	if service == "" || strings.HasPrefix(service, unknownService) {
		m.telemetry.count[withoutService].Add(1)
	} else {
		if m.config.Kubernetes && version == "" && revision == "" {
			ofPod = eventotlp.PodVersion(attributes)
			version = ofPod
		}
		m.ledger.RecordTelemetry(ledger.Telemetry{Service: service, Environment: environment, Signal: signal,
			Version: version != "", Revision: revision != "", At: now, Stamped: stamped})
		if infer {
			sighting := ledger.Sighting{Service: service, Environment: environment, Version: version, Revision: revision, At: now}
			if _, isNew := m.ledger.RecordSighting(sighting); isNew {
				m.telemetry.count[inferred].Add(1)
			}
		}
		known, full, ok := m.ledger.Current(service, environment, version, revision)
		if ok {
			id = known
		}
		if revision == "" {
			revision = full
		}
	}
	stamp(attributes, m.config.Stamp.DeploymentID, id)
	stamp(attributes, m.config.Stamp.Environment, environment)
	stamp(attributes, m.config.Stamp.Revision, revision)
	stamp(attributes, m.config.Stamp.Version, ofPod)
}

// read returns the first of the named attributes that holds text.
func (m *marker) read(attributes pcommon.Map, names []string) string {
	for _, name := range names {
		value, ok := attributes.Get(name)
		if !ok {
			continue
		}
		if value.Type() != pcommon.ValueTypeStr {
			m.telemetry.count[wrongType].Add(1)
			continue
		}
		text := value.Str()
		if len(text) > maxValue {
			m.telemetry.count[tooLong].Add(1)
			text = cut(text)
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// cut shortens text to maxValue bytes without splitting a character.
func cut(text string) string {
	n := maxValue
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n]
}

// stamp writes value under name unless the user did.
func stamp(attributes pcommon.Map, name, value string) {
	if name == "" || value == "" {
		return
	}
	if _, set := attributes.Get(name); !set {
		attributes.PutStr(name, value)
	}
}
