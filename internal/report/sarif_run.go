package report

import (
	"unsafe"
)

// What a run of a SARIF log says beside its results: rules, and the levels asked for.

func (s *sarif) component(driver bool) error {
	return s.w.object(func(name string) error {
		switch {
		case name == "name" && driver:
			return s.w.text(&s.tool)
		case name == "rules":
			return s.w.array(func() error {
				rule := sarifRule{}
				if err := s.rule(&rule); err != nil {
					return err
				}
				s.keep(rule)
				return nil
			})
		}
		return s.w.skip()
	})
}

// keep remembers a rule. Once one is left out so are all that follow: results name
// rules by their place in the list.
func (s *sarif) keep(rule sarifRule) {
	size := int(unsafe.Sizeof(rule)) + len(rule.id) + len(rule.level) + len(rule.text)
	for id, text := range rule.messages {
		size += 2*int(unsafe.Sizeof(id)) + len(id) + len(text)
	}
	if s.rulesLeft > 0 || len(s.rules) == maxRules || s.rulesSize+size > maxRuleBytes {
		s.rulesLeft++
		return
	}
	if _, known := s.byID[rule.id]; !known && rule.id != "" {
		s.byID[rule.id] = len(s.rules)
	}
	s.rules, s.rulesSize = append(s.rules, rule), s.rulesSize+size
}

func (s *sarif) rule(rule *sarifRule) error {
	return s.w.object(func(name string) error {
		switch name {
		case "id":
			return s.w.text(&rule.id)
		case "defaultConfiguration":
			return s.w.object(func(name string) error {
				if name == "level" {
					return s.w.text(&rule.level)
				}
				return s.w.skip()
			})
		case "shortDescription":
			err := s.words(&rule.text, nil, nil)
			rule.text = cut(rule.text, maxMessage)
			return err
		case "messageStrings":
			rule.messages = map[string]string{}
			return s.w.object(func(id string) error {
				var text string
				err := s.words(&text, nil, nil)
				if len(rule.messages) < 100 {
					rule.messages[cut(id, maxName)] = cut(text, maxMessage)
				}
				return err
			})
		}
		return s.w.skip()
	})
}

// externals names results that are in other files.
func (s *sarif) externals() error {
	return s.w.object(func(name string) error {
		if name == "results" {
			s.elsewhere = true
			s.p.problem("results of a run are in external property files, which were not read: inline them, or send these too")
		}
		return s.w.skip()
	})
}

// invocation reads the levels that the run was asked for (§3.20.5), and whether it
// succeeded.
func (s *sarif) invocation() error {
	return s.w.object(func(name string) error {
		if name == "executionSuccessful" {
			ended, err := s.w.scalar()
			s.failed = s.failed || ended == false
			return err
		}
		if name != "ruleConfigurationOverrides" {
			return s.w.skip()
		}
		return s.w.array(func() error {
			var o sarifRule
			index := -1.0
			err := s.w.object(func(name string) error {
				switch name {
				case "descriptor":
					return s.w.object(func(name string) error {
						switch name {
						case "id":
							return s.w.text(&o.id)
						case "index":
							return s.w.number(&index)
						}
						return s.w.skip()
					})
				case "configuration":
					return s.w.object(func(name string) error {
						if name == "level" {
							return s.w.text(&o.level)
						}
						return s.w.skip()
					})
				}
				return s.w.skip()
			})
			o.id, o.level = cut(o.id, maxName), cut(o.level, maxName)
			if i := int(index); o.id == "" && i >= 0 && i < len(s.rules) {
				o.id = s.rules[i].id
			}
			if o.id != "" && o.level != "" && len(s.overrides) < maxOverrides {
				s.overrides = append(s.overrides, o)
			}
			return err
		})
	})
}

// maxOverrides is how many levels a run may ask for.
const maxOverrides = 1000
