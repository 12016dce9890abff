// Package loopprom renders the loop's metrics as Prometheus text, under the
// very names that the Collector's prometheus exporter gives to their OTLP form.
package loopprom

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/otlptranslator"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// namer follows the prometheus exporter's default translation strategy.
var namer = otlptranslator.MetricNamer{WithMetricSuffixes: true}

var labelNamer = otlptranslator.LabelNamer{}

// Name is the family's name in Prometheus: dots become underscores, the unit
// and a counter's _total are appended.
func Name(f loopmetrics.Family) string {
	kind := map[loopmetrics.Kind]otlptranslator.MetricType{
		loopmetrics.Gauge:     otlptranslator.MetricTypeGauge,
		loopmetrics.Counter:   otlptranslator.MetricTypeMonotonicCounter,
		loopmetrics.Histogram: otlptranslator.MetricTypeHistogram,
	}[f.Kind]
	name, err := namer.Build(otlptranslator.Metric{Name: f.Name, Unit: f.Unit, Type: kind})
	if err != nil {
		panic(err) // family names are constants; the register's test builds them all
	}
	return name
}

// Write renders the families in the text exposition format. Families without a
// point are left out, as in OTLP.
func Write(w io.Writer, families []loopmetrics.Family) error {
	var b strings.Builder
	for _, f := range families {
		if len(f.Points) == 0 {
			continue
		}
		name := Name(f)
		kind := map[loopmetrics.Kind]string{loopmetrics.Gauge: "gauge", loopmetrics.Counter: "counter", loopmetrics.Histogram: "histogram"}[f.Kind]
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, helpEscapes.Replace(f.Description), name, kind)
		for _, p := range f.Points {
			if f.Kind == loopmetrics.Histogram {
				histogram(&b, name, p)
			} else {
				line(&b, name, p.Labels, "", p.Value)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func histogram(b *strings.Builder, name string, p loopmetrics.Point) {
	var below uint64
	for i, n := range p.Buckets {
		bound := math.Inf(1)
		if i < len(loopmetrics.Bounds) {
			bound = loopmetrics.Bounds[i]
		}
		below += n
		line(b, name+"_bucket", p.Labels, number(bound), float64(below))
	}
	line(b, name+"_sum", p.Labels, "", p.Sum)
	line(b, name+"_count", p.Labels, "", float64(p.Count))
}

// line writes one sample; le is the upper bound of a bucket, else "".
func line(b *strings.Builder, name string, labels []event.KeyText, le string, v float64) {
	b.WriteString(name)
	before := byte('{')
	label := func(key, text string) {
		b.WriteByte(before)
		before = ','
		b.WriteString(key + `="` + labelEscapes.Replace(strings.ToValidUTF8(text, "\uFFFD")) + `"`)
	}
	for _, l := range labels {
		key, err := labelNamer.Build(l.Key)
		if err != nil {
			panic(err) // label names are constants too
		}
		label(key, l.Text)
	}
	if le != "" {
		label("le", le)
	}
	if before == ',' {
		b.WriteByte('}')
	}
	b.WriteString(" " + number(v) + "\n")
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

var (
	labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)
