package report

import "github.com/deployloop/deployloop/internal/event"

// sarifResult is a result as it stands in the log, before the tool and its rules say
// what it means.
type sarifResult struct {
	finding                             event.Finding
	kind, text, messageID               string
	place, target                       sarifPlace
	arguments                           []string
	whole, partial                      map[string]string // fingerprints
	ruleIndex, artifactIndex, extension float64
}

// maxHeldResults, and maxRuleBytes, bound the results that wait for their tool.
const maxHeldResults = 50_000

// hold keeps a result that comes before its tool until all of the run is read: keys
// may be in any order, as where they are sorted. Beyond the bounds results are told
// without tool.
func (s *sarif) hold(r sarifResult) error {
	f := &r.finding
	size := 0
	for _, text := range []*string{&f.Rule, &f.Level, &r.place.uri, &r.place.base, &r.kind, &r.messageID, &r.target.uri, &r.target.base} {
		*text = cut(*text, maxName)
		size += len(*text)
	}
	r.text = cut(r.text, maxMessage)
	size += len(r.text) + 512 // the rest of it
	for i := range r.arguments {
		r.arguments[i] = cut(r.arguments[i], maxName)
		size += len(r.arguments[i])
	}
	for _, prints := range []map[string]string{r.whole, r.partial} {
		for name, value := range prints {
			prints[name] = cut(value, maxName)
			size += 2*len(name) + len(value)
		}
	}
	if len(s.held) == maxHeldResults || s.heldSize+size > maxRuleBytes {
		s.late++
		return s.tell(r)
	}
	s.held, s.heldSize = append(s.held, r), s.heldSize+size
	return nil
}

// tellHeld tells what waited.
func (s *sarif) tellHeld() error {
	held := s.held
	s.held, s.heldSize = nil, 0
	for _, r := range held {
		if s.p.stopped != nil {
			return s.p.stopped
		}
		if err := s.tell(r); err != nil {
			return err
		}
	}
	return nil
}

// tell makes a finding of a result, by what the tool says of its rule.
func (s *sarif) tell(r sarifResult) error {
	f := r.finding
	if i := int(r.extension); i >= 0 && i < len(s.offsets) && r.ruleIndex >= 0 {
		r.ruleIndex += float64(s.offsets[i]) // it counts within the extension
	}
	rule := s.ruleOf(&f, r.ruleIndex)
	if f.Rule == "" { // allowed, and rare
		f.Rule = "(no rule)"
	}
	text := r.text
	if text == "" && r.messageID != "" {
		text = rule.messages[r.messageID]
	}
	if text == "" {
		text = rule.text
	}
	f.Tool, f.Message = s.tool, fill(text, r.arguments)
	if f.Level == "" {
		for _, o := range s.overrides {
			if o.id == f.Rule || o.id == rule.id && rule.id != "" {
				rule.level = o.level
			}
		}
		switch {
		case r.kind != "" && r.kind != "fail":
			f.Level = "none"
		case rule.level != "":
			f.Level = rule.level
		default:
			f.Level = "warning" // §3.27.10
		}
	}
	switch i := int(r.artifactIndex); {
	case r.place.uri != "" || i < 0:
	case i < len(s.artifacts):
		r.place = s.artifacts[i]
	default:
		s.unplaced++
	}
	if r.place.uri == "" {
		r.place = r.target
	}
	shown := ""
	f.File, shown = s.fileOf(r.place)
	f.Message = s.p.source.local(f.Message)
	f.Fingerprint = fingerprint(f, r.whole, r.partial)
	f.File = shown
	return s.p.finding(f)
}
