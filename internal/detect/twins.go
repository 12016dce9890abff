package detect

import "math"

// A series may go on under the name of an instance that is gone: a scraper that
// relabels late, a recorder that keeps a pod's slot, writes each sample of the
// new instance for the one it replaced too. As a member of the old cohort such
// a copy would clear the new one of all harm.

const (
	twinAfter  = 3 // equal values, none different, before one is taken for a copy
	lossCopies = "copied_series"
)

// twin is how far an instance of the old cohort seems to repeat one of the new.
type twin struct {
	of    *Source
	equal int
}

type gaugeValue struct {
	gauge *gauge
	bits  uint64
}

// telling values do not meet by chance: small counts, whole percents and what
// else has few digits may.
func telling(v float64) bool {
	scaled := v * 1e6
	return scaled != math.Trunc(scaled)
}

// dropCopies takes out of a second's samples those of instances of the old
// cohort that repeat, to the bit, what an instance of the new one sends.
func (s *service) dropCopies(samples []gaugeSample) []gaugeSample {
	if len(s.watches) == 0 {
		s.gauges.twins = nil
		return samples
	}
	fresh := map[gaugeValue]*Source{}
	for _, x := range samples {
		if x.gauge.key.client == "" && s.isFresh(x.source) {
			fresh[gaugeValue{x.gauge, math.Float64bits(x.value)}] = x.source
		}
	}
	if len(fresh) == 0 && len(s.gauges.twins) == 0 {
		return samples
	}
	for _, x := range samples {
		if x.gauge.key.client != "" || s.isFresh(x.source) {
			continue
		}
		of, known := fresh[gaugeValue{x.gauge, math.Float64bits(x.value)}], s.gauges.twins[x.source]
		switch {
		case of == nil:
			delete(s.gauges.twins, x.source)
		case !telling(x.value):
		case known.of == of:
			s.gauges.twins[x.source] = twin{of, known.equal + 1}
		default:
			if s.gauges.twins == nil {
				s.gauges.twins = map[*Source]twin{}
			}
			s.gauges.twins[x.source] = twin{of, 1}
		}
	}
	kept := samples[:0]
	for _, x := range samples {
		if x.gauge.key.client == "" && s.gauges.twins[x.source].equal >= twinAfter {
			continue
		}
		kept = append(kept, x)
	}
	if n := len(samples) - len(kept); n > 0 {
		s.losses.add(lossCopies, uint64(n))
	}
	return kept
}
