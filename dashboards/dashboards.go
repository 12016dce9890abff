// Package dashboards carries the Grafana dashboards of this folder, and asks a
// Prometheus what Grafana would ask it for them.
package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed *.json
var files embed.FS

// CollectorConfig is collector.yaml: what the dashboards need beside the
// built-in configuration.
//
//go:embed collector.yaml
var CollectorConfig []byte

// Board is what of a dashboard's JSON reaches the data source.
type Board struct {
	UID, Title string
	Panels     []Panel
	Templating struct{ List []Variable }
	// Annotations are the markers over every panel.
	Annotations struct {
		List []struct{ Name, Expr string }
	}
}

// Panel is one panel; a row has no targets.
type Panel struct {
	ID          int
	Type, Title string
	Targets     []Target
}

// Target is one query of a panel.
type Target struct {
	RefID, Expr string
	Range       bool // else at one moment
}

// Variable is a template variable; only those of type query ask Prometheus.
type Variable struct {
	Name, Type string
	Query      json.RawMessage
}

// OneDeployment is the uid of the dashboard that looks at one deployment; the
// others look at all that is chosen.
const OneDeployment = "deployloop-deployment"

// Boards are the four dashboards, by title.
func Boards() ([]Board, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	var out []Board
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var b Board
		if err := json.Unmarshal(text, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// Choice is what a person has chosen at the top of a dashboard: values of the
// template variables (regular expressions; a missing one is All), and the time
// range that ends now.
type Choice struct {
	Variables    map[string]string
	Range        time.Duration
	RateInterval time.Duration // what Grafana makes of $__rate_interval
}

var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

// Fill puts the choice into a query, as Grafana does.
func (c Choice) Fill(query string) string {
	return variable.ReplaceAllStringFunc(query, func(match string) string {
		name := strings.Trim(match, "${}")
		switch name {
		case "__range":
			return seconds(c.Range) + "s"
		case "__range_s":
			return seconds(c.Range)
		case "__rate_interval":
			return seconds(c.RateInterval) + "s"
		}
		if value, ok := c.Variables[name]; ok {
			return value
		}
		return ".*"
	})
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
