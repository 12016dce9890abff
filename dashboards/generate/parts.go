package main

import (
	"maps"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

var (
	datasource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
)

// frame is what every dashboard has: variables, markers and links. services is
// the metric and the label that list the services; one says that exactly one
// deployment is looked at.
func frame(uid, title, description, services, serviceLabel string, one bool) *dashboard.DashboardBuilder {
	d := dashboard.NewDashboardBuilder(title).Uid(uid).Description(description).
		Tags([]string{"deployloop"}).Timezone("browser").Refresh("30s").Time("now-6h", "now").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(values("service", "Service", "label_values("+services+", "+serviceLabel+")", true)).
		WithVariable(values("environment", "Environment", `label_values(deployloop_deployment_start_time_seconds{service=~"$service"}, environment)`, true)).
		WithVariable(values("deployment", "Deployment", `label_values(deployloop_deployment_start_time_seconds{service=~"$service",environment=~"$environment"}, deployment)`, !one)).
		WithVariable(dashboard.NewTextBoxVariableBuilder("console").Label("Console").
			Description("Where deployloop's own pages are, as your browser reaches them").
			DefaultValue(dashboard.StringOrMap{String: cog.ToPtr("http://127.0.0.1:8090")}).
			Current(option("http://127.0.0.1:8090"))).
		WithVariable(dashboard.NewDatasourceVariableBuilder("traces").Label("Traces").Type("tempo").
			Description("Data source that trace links open; any of type tempo")).
		Annotation(marker("Deploys", "blue", started(), "{{service}} {{version}} → {{environment}}")).
		Annotation(marker("Verdicts", "orange", "deployloop_deployment_verdict_time_seconds"+byDeployment(), "{{service}} {{version}}: {{verdict}}")).
		Link(dashboard.NewDashboardLinkBuilder("deployloop").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{"deployloop"}).AsDropdown(true).IncludeVars(true).KeepTime(true).
			Icon("external link").Tooltip("The other dashboards, with the same service, environment and deployment")).
		Link(link("Traces", exploreTraces(`resource.service.name=~"${service:pipe}"`)))
	if one {
		return d.Link(link("Console: this deployment", "${console}/deployments/${deployment:percentencode}"))
	}
	return d.Link(link("Console", "${console}/"))
}

func values(name, label, query string, all bool) *dashboard.QueryVariableBuilder {
	v := dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(datasource).
		Query(dashboard.StringOrMap{String: cog.ToPtr(query)}).Definition(query).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc)
	if all {
		// .* also takes telemetry that has no such label at all.
		v = v.Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")}, Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")}})
	}
	return v
}

func option(text string) dashboard.VariableOption {
	return dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: &text}, Value: dashboard.StringOrArrayOfString{String: &text}}
}

// marker draws a line at the time, in seconds, that is the value of the query.
func marker(name, color, expr, text string) *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name(name).Datasource(datasource).Enable(true).IconColor(color).
		Expr(expr + " * 1000").UseValueForTime(true).TitleFormat(text).TextFormat("{{deployment}}").
		TagKeys("service,environment,version,verdict").Step("60s")
}

func link(title, url string) *dashboard.DashboardLinkBuilder {
	return dashboard.NewDashboardLinkBuilder(title).Type(dashboard.DashboardLinkTypeLink).Icon("external link").
		Url(url).TargetBlank(true).Tooltip(title)
}

// exploreTraces opens the traces that match a TraceQL condition, in the
// dashboard's time range.
func exploreTraces(condition string) string {
	return "/explore?schemaVersion=1&orgId=1&panes=" + percent(
		`{"a":{"datasource":"${traces}","queries":[{"refId":"A","queryType":"traceql","query":"{`+quoteJSON(condition)+`}"}],"range":{"from":"${__from}","to":"${__to}"}}}`)
}

// query is one line of a panel.
type query struct {
	expr, legend string
	exemplars    bool
}

// card is one panel: its size in Grafana's 24 columns, what it says, and from
// where on a value is a warning and an alarm.
type card struct {
	title, description, unit string
	width, height            uint32
	queries                  []query
	warn, alarm              float64 // both 0: neutral
	lowIsBad                 bool    // below warn, and below alarm, instead of above
	links                    []*dashboard.DashboardLinkBuilder
	stacked                  bool
	whole                    bool // a count, which increase() extrapolates
	logarithmic              bool
	columns                  []column          // of a table: the value of each query
	colors                   map[string]string // of lines, by legend: where a colour has a meaning
}

// column is how a table shows the value of a query, "" its panel's unit.
type column struct {
	title, unit string
	width       int // 0: its share
}

func (c card) thresholds() *dashboard.ThresholdsConfigBuilder {
	steps := []dashboard.Threshold{{Color: "blue"}}
	switch {
	case c.lowIsBad:
		steps = []dashboard.Threshold{{Color: "red"}, {Value: &c.alarm, Color: "yellow"}, {Value: &c.warn, Color: "green"}}
	case c.alarm > 0:
		steps = []dashboard.Threshold{{Color: "green"}, {Value: &c.warn, Color: "yellow"}, {Value: &c.alarm, Color: "red"}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (c card) dataLinks() (out []cog.Builder[dashboard.DashboardLink]) {
	for _, l := range c.links {
		out = append(out, l)
	}
	return out
}

func refID(i int) string { return string(rune('A' + i)) }

// number shows the last value of each query.
func number(c card) *stat.PanelBuilder {
	p := stat.NewPanelBuilder().Title(c.title).Description(c.description).Datasource(datasource).Unit(c.unit).
		Span(c.width).Height(c.height).Thresholds(c.thresholds()).DataLinks(c.dataLinks()).NoValue("–").
		GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	if c.whole {
		p = p.Decimals(0)
	}
	for i, q := range c.queries {
		p = p.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(refID(i)).Instant())
	}
	return p
}

// lines shows the queries over time.
func lines(c card) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().Title(c.title).Description(c.description).Datasource(datasource).Unit(c.unit).
		Span(c.width).Height(c.height).Thresholds(c.thresholds()).DataLinks(c.dataLinks()).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassic)).
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeAuto).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if c.logarithmic {
		p = p.ScaleDistribution(common.NewScaleDistributionConfigBuilder().Type(common.ScaleDistributionLog).Log(10))
	} else {
		p = p.Min(0)
	}
	for _, name := range slices.Sorted(maps.Keys(c.colors)) {
		p = p.OverrideByName(name, []dashboard.DynamicConfigValue{{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": c.colors[name]}}})
	}
	if c.alarm > 0 {
		p = p.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if c.stacked {
		p = p.DrawStyle(common.GraphDrawStyleBars).FillOpacity(60).
			Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	for i, q := range c.queries {
		p = p.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(refID(i)).Range().Exemplar(q.exemplars))
	}
	return p
}

// list shows the series of the queries as a table: their labels, and a column
// for the value of each query.
func list(c card) *table.PanelBuilder {
	hidden := map[string]bool{}
	names := map[string]string{
		"service_name": "service", "span_name": "operation", "cicd_pipeline_name": "pipeline", "cicd_pipeline_task_name": "task",
	}
	for i, column := range c.columns {
		value := "Value"
		if len(c.queries) > 1 {
			value += " #" + refID(i)
		}
		names[value] = column.title
	}
	for _, name := range []string{"Time", "__name__", "job", "instance", "exported_job", "exported_instance",
		"otel_scope_name", "otel_scope_version", "otel_scope_schema_url"} {
		hidden[name] = true
	}
	p := table.NewPanelBuilder().Title(c.title).Description(c.description).Datasource(datasource).Unit(c.unit).
		Span(c.width).Height(c.height).Thresholds(c.thresholds()).DataLinks(c.dataLinks()).NoValue("–")
	if len(c.queries) > 1 {
		p = p.WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}})
	}
	p = p.WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"excludeByName": hidden, "renameByName": names}})
	for i, column := range c.columns {
		var special []dashboard.DynamicConfigValue
		if column.unit != "" {
			special = append(special, dashboard.DynamicConfigValue{Id: "unit", Value: column.unit})
		}
		if column.width > 0 {
			special = append(special, dashboard.DynamicConfigValue{Id: "custom.width", Value: column.width})
		}
		if special != nil {
			p = p.OverrideByName(column.title, special)
		}
		if i == 0 {
			p = p.SortBy([]cog.Builder[common.TableSortByFieldState]{common.NewTableSortByFieldStateBuilder().DisplayName(column.title).Desc(true)})
		}
	}
	for i, q := range c.queries {
		p = p.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(refID(i)).
			Instant().Format(prometheus.PromQueryFormatTable))
	}
	return p
}
