package report

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
				if len(s.byID) < maxRules {
					if _, known := s.byID[rule.id]; !known && rule.id != "" {
						s.byID[rule.id] = len(s.rules)
					}
					if driver || len(s.rules) < maxRules {
						s.rules = append(s.rules, rule)
					}
				}
				return nil
			})
		}
		return s.w.skip()
	})
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
			return s.words(&rule.text, nil, nil)
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
			s.p.problem("results of a run are in external property files, which were not read: inline them, or send these too")
		}
		return s.w.skip()
	})
}

// invocation reads the levels that the run was asked for (§3.20.5).
func (s *sarif) invocation() error {
	return s.w.object(func(name string) error {
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
