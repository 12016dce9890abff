package dashboards

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Answer is what Prometheus gave to one query of a dashboard.
type Answer struct {
	Board, Panel string // titles; the panel of a marker or a variable is its name
	Query        string // with the choice put in
	Series       int    // with at least one number
	Problem      string // why it could not be answered; "" when it could
}

func (a Answer) String() string {
	text := fmt.Sprintf("%s / %s: %s: %d series", a.Board, a.Panel, a.Query, a.Series)
	if a.Problem != "" {
		text += ": " + a.Problem
	}
	return text
}

// Empty tells an answer that would leave its panel without data.
func (a Answer) Empty() bool { return a.Series == 0 }

// Ask sends every query of a dashboard to the Prometheus at url: of its panels,
// its markers and its template variables.
func (b Board) Ask(ctx context.Context, url string, c Choice) ([]Answer, error) {
	client, err := promapi.NewClient(promapi.Config{Address: url})
	if err != nil {
		return nil, err
	}
	api := prometheus.NewAPI(client)
	now := time.Now()
	var out []Answer
	for _, v := range b.Templating.List {
		if v.Type == "query" {
			out = append(out, b.askVariable(ctx, api, v, c, now))
		}
	}
	for _, a := range b.Annotations.List {
		if a.Expr != "" {
			out = append(out, b.ask(ctx, api, a.Name, Target{Expr: a.Expr, Range: true}, c, now))
		}
	}
	for _, p := range b.Panels {
		for _, t := range p.Targets {
			out = append(out, b.ask(ctx, api, p.Title, t, c, now))
		}
	}
	return out, ctx.Err()
}

func (b Board) ask(ctx context.Context, api prometheus.API, panel string, t Target, c Choice, now time.Time) Answer {
	a := Answer{Board: b.Title, Panel: panel, Query: c.Fill(t.Expr)}
	var value model.Value
	var err error
	if t.Range {
		step := max(c.Range/500, time.Second)
		value, _, err = api.QueryRange(ctx, a.Query, prometheus.Range{Start: now.Add(-c.Range), End: now, Step: step})
	} else {
		value, _, err = api.Query(ctx, a.Query, now)
	}
	if err != nil {
		a.Problem = err.Error()
		return a
	}
	a.Series = withNumbers(value)
	return a
}

// withNumbers counts the series that have something to draw.
func withNumbers(value model.Value) (n int) {
	number := func(v model.SampleValue) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
	switch v := value.(type) {
	case model.Vector:
		for _, s := range v {
			if number(s.Value) {
				n++
			}
		}
	case model.Matrix:
		for _, s := range v {
			for _, p := range s.Values {
				if number(p.Value) {
					n++
					break
				}
			}
		}
	}
	return n
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// askVariable lists the values that a template variable offers.
func (b Board) askVariable(ctx context.Context, api prometheus.API, v Variable, c Choice, now time.Time) Answer {
	a := Answer{Board: b.Title, Panel: "variable " + v.Name}
	var text string
	if err := json.Unmarshal(v.Query, &text); err != nil {
		a.Problem = err.Error()
		return a
	}
	a.Query = c.Fill(text)
	parts := labelValues.FindStringSubmatch(a.Query)
	if parts == nil {
		a.Problem = "not of the form label_values(SERIES, LABEL)"
		return a
	}
	values, _, err := api.LabelValues(ctx, parts[2], []string{parts[1]}, now.Add(-c.Range), now)
	if err != nil {
		a.Problem = err.Error()
		return a
	}
	a.Series = len(values)
	return a
}
