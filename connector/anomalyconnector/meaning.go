package anomalyconnector

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/detect"
)

// meaning is what a metric tells of, as its name says.
type meaning struct {
	family detect.Family
	voice  detect.Voice
	naming naming
	aside  bool    // no requests of the service's own
	spans  bool    // made of spans: its points say of which kind
	errors bool    // counts nothing but what goes wrong
	again  bool    // of requests whose outcomes another metric tells: the size of their bodies
	ns     float64 // of the value 1 of a histogram, in nanoseconds; 0: as the unit says
}

// naming is how the operation of a point is named.
type naming uint8

const (
	byMetric naming = iota // by the metric, and what it was done to
	byRoute                // "GET /cart/{id}", as spans are
	byMethod               // "shop.Cart/Add"
	bySpan                 // by the span's own name
	byTopic                // "process orders"
)

// meanings are the metrics that tell of requests served. Names are as reduce
// makes them, so that the Prometheus forms are found too.
var meanings = map[string]meaning{
	"http.server.request.duration": {family: detect.FamilyHTTP, voice: detect.VoiceMetrics, naming: byRoute},
	"http.server.duration":         {family: detect.FamilyHTTP, voice: detect.VoiceOldMetrics, naming: byRoute, ns: 1e6},
	"http.server.requests":         {family: detect.FamilyHTTP, voice: detect.VoiceOldMetrics, naming: byRoute}, // Micrometer
	"http.request.duration":        {family: detect.FamilyHTTP, voice: detect.VoiceOldMetrics, naming: byRoute},
	"http.requests":                {family: detect.FamilyHTTP, voice: detect.VoiceCounter, naming: byRoute},
	"http.server.request.count":    {family: detect.FamilyHTTP, voice: detect.VoiceCounter, naming: byRoute},
	"rpc.server.call.duration":     {family: detect.FamilyRPC, voice: detect.VoiceMetrics, naming: byMethod},
	"rpc.server.duration":          {family: detect.FamilyRPC, voice: detect.VoiceOldMetrics, naming: byMethod, ns: 1e6},
	"grpc.server.call.duration":    {family: detect.FamilyRPC, voice: detect.VoiceMetrics, naming: byMethod},
	"grpc.server.handling":         {family: detect.FamilyRPC, voice: detect.VoiceOldMetrics, naming: byMethod},
	"grpc.server.handled":          {family: detect.FamilyRPC, voice: detect.VoiceCounter, naming: byMethod},
	"messaging.process.duration":   {family: detect.FamilyConsumer, voice: detect.VoiceMetrics, naming: byTopic},
	"faas.invoke.duration":         {family: detect.FamilyOther, voice: detect.VoiceMetrics, naming: byMetric},
	"traces.span.metrics.duration": {voice: detect.VoiceSpanMetrics, naming: bySpan, spans: true},
	"traces.span.metrics.calls":    {voice: detect.VoiceCounter, naming: bySpan, spans: true},
	"traces.spanmetrics.latency":   {voice: detect.VoiceSpanMetrics, naming: bySpan, spans: true},
	"traces.spanmetrics.calls":     {voice: detect.VoiceCounter, naming: bySpan, spans: true},
	"traces.spanmetrics.duration":  {voice: detect.VoiceSpanMetrics, naming: bySpan, spans: true},
}

// served begin the names of metrics about requests served. Those that are no
// meaning of their own tell something else of the same requests.
var served = []string{"http.server.", "rpc.server."}

// wrong are words of a counter that counts what goes wrong.
var wrong = []string{"error", "exception", "fail", "reject", "dropped", "discarded", "timeout", "timed.out", "panic", "abort", "unhandled"}

// reduce brings a metric's name to one form: dots between words, and none of
// the suffixes that Prometheus' naming adds. seconds is the unit that one of
// these told, 0: none.
func reduce(name string) (reduced string, ns float64) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", ".")
	name = strings.TrimSuffix(name, ".total")
	for _, u := range [...]struct {
		suffix string
		ns     float64
	}{{".milliseconds", 1e6}, {".seconds", 1e9}} {
		if cut, ok := strings.CutSuffix(name, u.suffix); ok {
			return cut, u.ns
		}
	}
	return name, 0
}

// meaningOf reads a metric's name and unit; scope is that of its instrumentation.
func meaningOf(name, unit, scope string) meaning {
	reduced, ns := reduce(name)
	m, known := meanings[reduced]
	switch {
	case known:
	case strings.HasSuffix(scope, "spanmetricsconnector"): // under a namespace of the user's
		m, known = meanings["traces.span.metrics."+reduced[strings.LastIndexByte(reduced, '.')+1:]]
		m.aside = !known
	default:
		m = meaning{aside: true, errors: slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(reduced, w) })}
		m.again = slices.ContainsFunc(served, func(p string) bool { return strings.HasPrefix(reduced, p) })
	}
	if u := nanoseconds(unit); u > 0 {
		m.ns = u
	} else if ns > 0 {
		m.ns = ns
	} else if m.ns == 0 && (known || strings.HasSuffix(reduced, "duration")) {
		m.ns = 1e9
	}
	return m
}

// nanoseconds of a unit of time; 0: it is none.
func nanoseconds(unit string) float64 {
	switch unit {
	case "s":
		return 1e9
	case "ms":
		return 1e6
	case "us", "µs":
		return 1e3
	case "ns":
		return 1
	}
	return 0
}

// labels are the attributes of a point that tell what it is of. Keys are
// compared with dots for Prometheus' underscores.
type labels struct {
	method, route, rpc, span, kind, topic, verb string
	of                                          []string // what a client's or an inner operation was done to
	outcome                                     outcome
}

// outcome is how what a point counts ended.
type outcome uint8

const (
	untold outcome = iota
	ended
	failedly
)

func readLabels(attributes pcommon.Map) labels {
	var l labels
	var service, method string
	for key, value := range attributes.All() {
		t := text(value)
		switch strings.ReplaceAll(key, "_", ".") {
		case "http.request.method", "http.method", "method":
			l.method = t
		case "http.route", "route", "uri", "path", "handler":
			l.route = t
		case "rpc.service", "grpc.service":
			service = t
		case "rpc.method", "grpc.method":
			method = t
		case "span.name":
			l.span = t
		case "span.kind":
			l.kind = t
		case "messaging.destination.name", "messaging.destination.template":
			l.topic = t
		case "messaging.operation.name":
			l.verb = t
		case "db.operation.name", "db.collection.name", "db.operation", "server.address", "peer.service", "cache.name", "pool.name", "jvm.gc.name":
			l.of = append(l.of, t)
		}
		l.outcome = max(l.outcome, outcomeOf(strings.ReplaceAll(key, "_", "."), t))
	}
	l.rpc = method
	if service != "" && !strings.Contains(method, "/") {
		l.rpc = service + "/" + method
	}
	slices.Sort(l.of)
	return l
}

// outcomeOf reads one attribute.
func outcomeOf(key, value string) outcome {
	says := func(failure bool) outcome {
		if failure {
			return failedly
		}
		return ended
	}
	word := strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(value))
	switch key {
	case "error.type", "exception", "exception.type":
		return says(word != "" && word != "none")
	case "error":
		return says(word != "" && word != "false" && word != "none" && word != "0")
	case "success":
		return says(word == "false" || word == "0")
	case "status.code", "http.response.status.code", "http.status.code", "code", "rpc.grpc.status.code", "grpc.code", "grpc.status", "rpc.response.status.code",
		"status", "outcome", "result":
	default:
		return untold
	}
	switch {
	case len(word) == 3 && word[0] >= '1' && word[0] <= '5' && (isDigits(word) || word[1:] == "xx"):
		return says(word[0] == '5')
	case strings.Contains(key, "grpc") || key == "rpc.response.status.code":
		return says(slices.Contains([]string{"2", "4", "12", "13", "14", "15", "unknown", "deadlineexceeded", "unimplemented", "internal", "unavailable", "dataloss"}, word))
	case slices.Contains([]string{"statuscodeerror", "error", "err", "failure", "failed", "fail", "servererror", "exception", "timeout", "ko", "2"}, word):
		return says(word != "2" || key == "status.code")
	}
	return ended
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// operation names what a point is of, and says whether it is a health check's.
// False: it is none of the service's own requests though its metric may hold some.
func (m *meaning) operation(metric string, l labels) (op operation, family detect.Family, ok bool) {
	family = m.family
	switch m.naming {
	case byRoute:
		name := l.method
		switch {
		case l.route != "" && l.method != "":
			name += " " + l.route
		case l.route != "":
			name = l.route
		case name == "":
			name = metric
		}
		op = newOperation(name)
		return operation{name: op.name, probe: op.probe}, family, true
	case byMethod:
		op = newOperation(cmp.Or(l.rpc, metric))
		return op, family, true
	case bySpan:
		switch l.kind {
		case "SPAN_KIND_SERVER", "server", "Server":
			family = detect.FamilyRPC
			if verb, _, _ := strings.Cut(l.span, " "); isMethod(verb) {
				family = detect.FamilyHTTP
			}
		case "SPAN_KIND_CONSUMER", "consumer", "Consumer":
			family = detect.FamilyConsumer
		default:
			return op, family, false
		}
		op = newOperation(l.span)
		return operation{name: op.name, probe: op.probe}, family, true
	case byTopic:
		return operation{name: strings.TrimSpace(cmp.Or(l.verb, "process") + " " + l.topic)}, family, true
	}
	name := metric
	for _, part := range l.of {
		name += " " + part
	}
	if l.method != "" {
		name += " " + l.method
	}
	return operation{name: name}, family, true
}
