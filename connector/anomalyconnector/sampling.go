package anomalyconnector

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// weight is the number of spans that one span stands for, from the sampling
// threshold of its tracestate (W3C, OpenTelemetry's member "ot=th:…": up to 14
// hexadecimal digits T, missing ones zero; sampled with probability 1 − T/2⁵⁶).
// A malformed one is no sampling: 1.
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
		for rest := member[len("ot="):]; rest != ""; {
			var field string
			field, rest, _ = strings.Cut(rest, ";")
			if !strings.HasPrefix(field, "th:") {
				continue
			}
			digits := strings.TrimRight(field[len("th:"):], " \t")
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
	}
	return 1
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
