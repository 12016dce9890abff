package report

import (
	"bytes"
	"errors"
)

// parseBenchJSON reads measured values as JSON: an array, or an object whose
// "benchmarks" or "benches" is one, of {"name", "value", "unit"} (as
// github-action-benchmark takes them) or {"name", "real_time", "time_unit"}
// (Google Benchmark).
func parseBenchJSON(p *parse) error {
	w := newJSONWalk(p.in)
	listed, unnamed := false, 0
	suite := ""
	one := func() error {
		var b Benchmark
		value, real := false, false
		err := w.object(func(name string) error {
			switch name {
			case "name":
				return w.text(&b.Name)
			case "suite", "package":
				return w.text(&b.Suite)
			case "value":
				value = true
				return w.number(&b.Value)
			case "unit":
				return w.text(&b.Unit)
			case "real_time":
				real = !value
				if real {
					return w.number(&b.Value)
				}
			case "time_unit":
				if b.Unit == "" {
					return w.text(&b.Unit)
				}
			}
			return w.skip()
		})
		if err != nil {
			return err
		}
		if b.Name == "" || !value && !real {
			unnamed++
			return nil
		}
		if b.Suite == "" {
			b.Suite = suite
		}
		return p.benchmark(b)
	}
	list := func() error { listed = true; return w.array(one) }
	var err error
	head, _ := p.in.Peek(detectWindow)
	if bytes.HasPrefix(bytes.TrimSpace(head), []byte("[")) {
		err = list()
	} else {
		err = w.object(func(name string) error {
			switch name {
			case "benchmarks", "benches":
				return list()
			case "suite", "package":
				return w.text(&suite)
			}
			return w.skip()
		})
	}
	if unnamed > 0 {
		p.problem("%d entries have no name or no value and were left out", unnamed)
	}
	switch {
	case err != nil:
		return w.broken(err)
	case !listed:
		return errors.New(`it has no list of benchmarks: send [{"name", "value", "unit"}, …]`)
	}
	return nil
}
