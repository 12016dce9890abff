package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// files reads the committed dashboards.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../*.json")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	out := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		out[filepath.Base(path)] = text
	}
	return out
}

func TestCommittedFilesAreWhatIsGenerated(t *testing.T) {
	for file, committed := range files(t) {
		builder := all()[file]
		require.NotNil(t, builder, "%s is not generated", file)
		want, err := render(builder)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(committed), "%s: run scripts/dashboards.sh", file)
	}
}

// Grafana's own types must know every key: a misspelt one would be dropped.
func TestEveryKeySurvivesGrafanasTypes(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for file, text := range files(t) {
		var typed dashboard.Dashboard
		require.NoError(t, json.Unmarshal(text, &typed), file)
		again, err := json.Marshal(typed)
		require.NoError(t, err)
		var source, back any
		require.NoError(t, json.Unmarshal(text, &source))
		require.NoError(t, json.Unmarshal(again, &back))
		assert.Empty(t, missing("", source, back), file)
	}
}

// missing lists the paths of source that back lacks or has otherwise.
func missing(path string, source, back any) (out []string) {
	switch s := source.(type) {
	case map[string]any:
		b, ok := back.(map[string]any)
		if !ok {
			return []string{path}
		}
		for key, value := range s {
			if _, ok := b[key]; !ok && value != nil {
				out = append(out, path+"."+key)
				continue
			}
			out = append(out, missing(path+"."+key, value, b[key])...)
		}
	case []any:
		b, ok := back.([]any)
		if !ok || len(b) != len(s) {
			return []string{path}
		}
		for i := range s {
			out = append(out, missing(fmt.Sprintf("%s[%d]", path, i), s[i], b[i])...)
		}
	default:
		if !reflect.DeepEqual(source, back) {
			return []string{path}
		}
	}
	return out
}

type board struct {
	UID, Title, Description string
	Panels                  []panel
	Links                   []linked
	Templating              struct {
		List []struct{ Name, Type string }
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
}

type linked struct{ Title, URL string }

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Links      []linked
			Thresholds *struct{ Steps []any }
		}
	}
	Targets []struct{ RefID, Expr string }
}

func boards(t *testing.T) map[string]board {
	out := map[string]board{}
	for file, text := range files(t) {
		var b board
		require.NoError(t, json.Unmarshal(text, &b))
		out[file] = b
	}
	return out
}

// wholeDetector are metrics of the detector as a whole: no service to filter by.
var wholeDetector = []string{"deployloop_telemetry_lost_total", "deployloop_detector_size", "deployloop_always_on_services"}

func TestLint(t *testing.T) {
	uids := map[string]bool{}
	for file, b := range boards(t) {
		assert.False(t, uids[b.UID], "%s: uid twice", file)
		uids[b.UID] = true
		assert.Equal(t, "deployloop-"+strings.TrimSuffix(file, ".json"), b.UID, "stable uid")
		names := map[string]string{}
		for _, v := range b.Templating.List {
			names[v.Name] = v.Type
		}
		for name, kind := range map[string]string{"datasource": "datasource", "service": "query", "environment": "query", "deployment": "query"} {
			assert.Equal(t, kind, names[name], "%s: variable %s", file, name)
		}
		require.NotEmpty(t, b.Annotations.List)
		for _, a := range b.Annotations.List {
			if a.Expr != "" {
				filtered(t, file+" marker "+a.Name, a.Expr)
			}
		}
		ids, taken, bottom := map[int]bool{}, map[[2]int]string{}, 0
		for _, p := range b.Panels {
			where := file + ": " + p.Title
			assert.False(t, ids[p.ID] || p.ID == 0, "%s: id %d", where, p.ID)
			ids[p.ID] = true
			assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, where)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					assert.Empty(t, taken[[2]int{x, y}], "%s lies on another panel", where)
					taken[[2]int{x, y}] = p.Title
				}
			}
			bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
			if p.Type == "row" {
				continue
			}
			assert.Contains(t, []string{"stat", "timeseries", "table"}, p.Type, where)
			assert.NotEmpty(t, p.Description, where)
			assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, where)
			if p.Type == "table" {
				assert.NotContains(t, p.FieldConfig.Defaults.Unit, "dateTime", "%s: its labels would be read as dates", where)
			}
			assert.Equal(t, "${datasource}", p.Datasource.UID, where)
			if assert.NotNil(t, p.FieldConfig.Defaults.Thresholds, where) {
				assert.NotEmpty(t, p.FieldConfig.Defaults.Thresholds.Steps, where)
			}
			refs := map[string]bool{}
			require.NotEmpty(t, p.Targets, where)
			for _, q := range p.Targets {
				assert.False(t, refs[q.RefID] || q.RefID == "", "%s: refId %q", where, q.RefID)
				refs[q.RefID] = true
				filtered(t, where, q.Expr)
			}
		}
		assert.Len(t, taken, 24*bottom, "%s has holes", file)
	}
}

// From each dashboard ways lead to the console and the traces; from a
// deployment to its page, its commit and its own traces, and from the suspects
// to theirs.
func TestLinks(t *testing.T) {
	const (
		console    = "${console}/"
		deployment = "${console}/deployments/${"
		commit     = "${console}/changes/${__data.fields.revision:percentencode}"
		alerts     = "${console}/alerts"
		traces     = "/explore?"
	)
	ways := map[string]map[string][]string{ // by file and title
		"deployment.json": {
			"The deployment":                 {deployment, commit, traces},
			"Verdict":                        {deployment},
			"Open anomalies of this service": {alerts},
			"Indicators, strongest first":    {deployment},
			"Suspects":                       {commit, deployment},
			"Failed requests":                {traces},
			"Operations of this deployment by failures": {traces, deployment},
		},
		"loop.json": {"Open anomalies": {alerts}},
		"service.json": {
			"Failed":                               {traces},
			"Failed requests":                      {traces},
			"Evidence against what is under watch": {deployment},
			"Failing operations":                   {traces},
		},
		"build.json": {},
	}
	for file, b := range boards(t) {
		want, known := ways[file]
		require.True(t, known, file)
		for _, start := range []string{console, traces} {
			assert.NotEmpty(t, starting(b.Links, start), "%s: no link to %s", file, start)
		}
		if file == "deployment.json" {
			assert.NotEmpty(t, starting(b.Links, deployment), file)
		}
		leads := map[string]bool{}
		for _, p := range b.Panels {
			links := p.FieldConfig.Defaults.Links
			for _, l := range links {
				leads[p.Title] = true
				assert.NotEmpty(t, l.Title, p.Title)
				if strings.HasPrefix(l.URL, traces) {
					assert.Contains(t, l.URL, "${traces}", "%s: %s opens no data source of the variable", file, p.Title)
				} else {
					assert.True(t, strings.HasPrefix(l.URL, console), "%s: %s leads to %s", file, p.Title, l.URL)
				}
			}
			for _, start := range want[p.Title] {
				assert.NotEmpty(t, starting(links, start), "%s: %s has no link to %s", file, p.Title, start)
			}
		}
		for title := range want {
			assert.True(t, leads[title], "%s: %s is not there, or has no links", file, title)
		}
		assert.Len(t, leads, len(want), "%s: name the panel that has links now: %v", file, leads)
	}
}

func starting(links []linked, with string) (list []linked) {
	for _, l := range links {
		if strings.HasPrefix(l.URL, with) {
			list = append(list, l)
		}
	}
	return list
}

// filtered asserts that a query follows the variables.
func filtered(t *testing.T, where, expr string) {
	t.Helper()
	for _, metric := range wholeDetector {
		if strings.Contains(expr, metric) {
			return
		}
	}
	if strings.Contains(expr, "deployloop_pipeline_") || strings.Contains(expr, "cicd_pipeline_") {
		assert.Contains(t, expr, `"$pipeline"`, where) // runs belong to no service
		return
	}
	for _, variable := range []string{`"$service"`, `"$environment"`, `"$deployment"`} {
		assert.Contains(t, expr, variable, where)
	}
}
