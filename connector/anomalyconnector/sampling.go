package anomalyconnector

import (
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// weight is the number of spans that one span stands for, by its tracestate's
// member "ot" (OpenTelemetry): the sampling threshold "th:…" (up to 14
// hexadecimal digits T, missing ones zero; sampled with probability 1 − T/2⁵⁶),
// or what came before it, "p:…" (sampled with probability 2⁻ᵖ). A malformed one
// is no sampling: 1.
func weight(state string) float64 {
	if state == "" {
		return 1
	}
	for state != "" {
		var member string
		member, state, _ = strings.Cut(state, ",")
		member = strings.TrimLeft(member, " \t")
		if !strings.HasPrefix(member, "ot=") {
			continue
		}
		w := 1.
		for rest := member[len("ot="):]; rest != ""; {
			var field string
			field, rest, _ = strings.Cut(rest, ";")
			field = strings.TrimRight(field, " \t")
			switch {
			case strings.HasPrefix(field, "th:"):
				return ofThreshold(field[len("th:"):])
			case strings.HasPrefix(field, "p:"):
				if p, err := strconv.ParseUint(field[len("p:"):], 10, 8); err == nil && p <= 62 { // 63 stands for none: it was kept for other reasons
					w = float64(uint64(1) << p)
				}
			}
		}
		return w
	}
	return 1
}

func ofThreshold(digits string) float64 {
	if len(digits) == 0 || len(digits) > 14 {
		return 1
	}
	var t uint64
	for i := range 14 {
		t <<= 4
		if i >= len(digits) {
			continue
		}
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			t |= uint64(c - '0')
		case c >= 'a' && c <= 'f':
			t |= uint64(c-'a') + 10
		default:
			return 1
		}
	}
	return 1 / (1 - float64(t)/(1<<56))
}

// attrSampleRate is how Honeycomb's samplers tell how many spans one stands for.
const attrSampleRate = "SampleRate"

// rated says whether a scope's spans tell their weight by an attribute. A
// sampler that does so does it on every span, so the first one tells.
func rated(spans ptrace.SpanSlice) bool {
	if spans.Len() == 0 {
		return false
	}
	_, ok := spans.At(0).Attributes().Get(attrSampleRate)
	return ok
}

// sampleRate is the weight that a span's attribute tells; 0: none.
func sampleRate(attributes pcommon.Map) float64 {
	v, ok := attributes.Get(attrSampleRate)
	if !ok {
		return 0
	}
	n := 0.
	switch v.Type() {
	case pcommon.ValueTypeInt:
		n = float64(v.Int())
	case pcommon.ValueTypeDouble:
		n = v.Double()
	}
	if !(n >= 1) || math.IsInf(n, 0) {
		return 0
	}
	return n
}

// tailSampled says whether a scope's spans were chosen by what became of their
// traces. Such spans are no sample of the traffic (errors are kept more often),
// so no ratio of them means anything. Recognised by what the samplers leave:
// contrib's tail_sampling its scope attribute (feature gate
// processor.tailsamplingprocessor.recordpolicy), refinery its span attribute.
func tailSampled(scope ptrace.ScopeSpans) bool {
	if a := scope.Scope().Attributes(); a.Len() > 0 {
		for _, name := range []string{"tailsampling.policy", "tailsampling.composite_policy", "tailsampling.cached_decision"} {
			if _, ok := a.Get(name); ok {
				return true
			}
		}
	}
	if scope.Spans().Len() > 0 {
		if v, ok := scope.Spans().At(0).Attributes().Get("meta.refinery.reason"); ok {
			return v.Type() == pcommon.ValueTypeStr && !strings.HasPrefix(v.Str(), "deterministic")
		}
	}
	return false
}
