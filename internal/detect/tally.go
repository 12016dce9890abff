package detect

import "math"

// A Tally is what a metric tells of an interval: how many requests of an
// operation there were, how many failed, and in which buckets their durations
// lie. It counts at the interval's end, as a lump.
type Tally struct {
	Operation  string
	Family     Family
	Voice      Voice
	Start, End int64 // event times, Unix nanoseconds; a Start of 0 is unknown
	N, Failed  float64
	Layout     *Layout // of the buckets; nil: no durations
	Buckets    []Bucket
	// Aside says that what is counted are no requests of the service's own: a
	// client's calls, a queue's items, events an instance-second. Such a thing
	// is an indicator of the long tail, and no exposure of others.
	Aside Aside
}

// Bucket is the count of one bin of a Layout.
type Bucket struct {
	Bin int
	N   float64
}

// Aside is how that which is counted aside reads.
type Aside struct {
	Kind AsideKind
	Unit string  // of its histogram's values: "By"; "" or "s": a duration
	Per  float64 // of the value 1, in the layout's nanoseconds, where it is no duration
}

// AsideKind tells what the counts of a Tally aside are.
type AsideKind uint8

const (
	NotAside AsideKind = iota
	// AsideShare: Failed of N.
	AsideShare
	// AsideRate: Failed events in N seconds of an instance.
	AsideRate
	// AsideCallee: calls to another service, by this one. AsideCaller: calls to
	// this service, as another one sees them; these are golden.
	AsideCallee
	AsideCaller
)

// Family is a kind of requests that spans and metrics both tell of.
type Family uint8

const (
	FamilyOther    Family = iota // roots of no kind
	FamilyServer                 // as spans tell: HTTP, RPC or whatever else serves
	FamilyHTTP                   // served, as metrics tell
	FamilyRPC                    // likewise
	FamilyConsumer               // messages
	families
)

// Voice is what tells of requests, the preferred one last. Of two that tell of
// the same requests only one counts.
type Voice uint8

const (
	VoiceCounter     Voice = iota // a counter of requests: no durations
	VoiceSpanMetrics              // what a connector made of spans
	VoiceOldMetrics               // instrumentation's own, under a deprecated name
	VoiceMetrics                  // under its present name
	VoiceSpans                    // spans: to the second, and with examples
	voices
)

const (
	voiceFor     = 300 // seconds for which a better voice is heard
	maxInterval  = 300 // seconds of a reporting interval
	maxTally     = 1e9 // of an interval: no service does more, and counts are kept in 32 bits
	lossRepeated = "metric_points_repeating_spans"
	lossTally    = "metric_points_invalid"
)

// Tally counts what a metric tells. False: another voice tells of these
// requests already, or it could not be used; it is then counted by name.
func (s *Source) Tally(t Tally) bool {
	if !t.usable() {
		s.service.losses.add(lossTally, 1)
		return false
	}
	end := s.engine.clock.at(t.End)
	open := s.engine.open.Load()
	aside := t.Aside.Kind != NotAside
	s.mu.Lock()
	defer s.mu.Unlock()
	if !aside {
		s.speak(t.Family, t.Voice, open)
		if !s.heard(t.Family, t.Voice, open) {
			s.service.losses.add(lossRepeated, 1)
			return false
		}
	}
	if _, ok := s.weigh(1); !ok {
		s.items++
		return false
	}
	slot := s.place(end)
	if slot == nil {
		return false
	}
	if !aside && t.Start > 0 && t.Start < t.End {
		s.interval = min((t.End-t.Start+second/2)/second, maxInterval)
		s.tallied = open
	}
	if t.N == 0 && t.Failed == 0 {
		return true
	}
	op := s.register(t.Operation, t.Aside)
	o := s.ops[op]
	if aside && o.aside != t.Aside {
		return false // over the cap, which was counted, or a name of two meanings
	}
	if !aside {
		o.takes(t.Family)
	}
	c := s.cell(slot, op)
	c.n += float32(t.N)
	c.failed += float32(t.Failed)
	c.heaviest = max(c.heaviest, 1)
	if t.Failed > 0 && c.firstFailed == 0 {
		c.firstFailed = end
		if t.Start > 0 && t.Start < t.End {
			c.firstFailed = end - (t.End-t.Start)/2
		}
	}
	if !aside {
		slot.weight += t.N
		slot.squares += t.N
		slot.heaviest = max(slot.heaviest, 1)
	}
	if t.Layout == nil || op == otherIndex {
		return true
	}
	test, k := s.test(op, t.Layout), s.sketch(op)
	for _, b := range t.Buckets {
		if !(b.N > 0) || b.Bin < 0 || b.Bin >= latencyBins {
			continue
		}
		c.timed += float32(b.N)
		n := k.at(b.Bin)
		*n = uint32(min(uint64(*n)+uint64(b.N), math.MaxUint32))
		c.classify(test, b.Bin, b.N)
	}
	return true
}

// usable says whether its counts are ones: they are summed for good, and what
// is not a number, or absurd, would be all that is ever known.
func (t *Tally) usable() bool {
	count := func(n float64) bool { return n >= 0 && n <= maxTally }
	for _, b := range t.Buckets {
		if !count(b.N) {
			return false
		}
	}
	return count(t.N) && count(t.Failed) && (t.Failed <= t.N || t.Aside.Kind == AsideRate && t.N > 0)
}

// speak notes that a voice told of requests.
func (s *Source) speak(f Family, v Voice, sec int64) {
	if s.spoke[f][v].Load() != sec {
		s.spoke[f][v].Store(sec)
	}
}

// heard says whether no better voice tells of the same requests: of this
// source, or where one of the two does not know its instance, of the version.
func (s *Source) heard(f Family, v Voice, sec int64) bool {
	if better := s.spokesman(f, sec); better > v {
		return false
	}
	if sec >= s.asked[f] { // of the others now and then, for it takes long
		s.asked[f] = sec + binSeconds
		s.others[f] = s.service.spokesman(s, f, sec)
	}
	return s.others[f] <= v
}

// spokesman is the best voice heard lately; VoiceCounter where there is none.
// A server's spans tell of its HTTP and of its RPC requests.
func (s *Source) spokesman(f Family, sec int64) Voice {
	if f == FamilyHTTP || f == FamilyRPC {
		if at := s.spoke[FamilyServer][VoiceSpans].Load(); at != 0 && sec-at <= voiceFor {
			return VoiceSpans
		}
	}
	for v := voices - 1; v > VoiceCounter; v-- {
		if at := s.spoke[f][v].Load(); at != 0 && sec-at <= voiceFor {
			return v
		}
	}
	return VoiceCounter
}

// spokesman is the best voice of the sources that may be one with this.
func (s *service) spokesman(of *Source, f Family, sec int64) Voice {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := VoiceCounter
	for _, o := range s.sources {
		if o == of || (o.origin.Instance == "") == (of.origin.Instance == "") {
			continue
		}
		if a, b := o.origin.Version, of.origin.Version; a != b && a != "" && b != "" {
			continue
		}
		best = max(best, o.spokesman(f, sec))
	}
	return best
}
