package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/exporter/alertmanagerexporter"
	"github.com/deployloop/deployloop/extension/consoleextension"
	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/receiver/cicdreceiver"
)

// locations are those of a Collector's configuration, in the order in which it reads
// them. Its own flags keep them to themselves, so they are noted as they are set.
type locations struct{ files, sets []string }

func (l *locations) all() []string { return slices.Concat(l.files, l.sets) }

// noted is a flag of which each value is noted as well.
type noted struct {
	flagValue
	note func(string)
}

type flagValue interface {
	String() string
	Set(string) error
	Type() string
}

func (n noted) Set(value string) error {
	err := n.flagValue.Set(value)
	if err == nil {
		n.note(value)
	}
	return err
}

// noteLocations notes what --config and --set of a command are given.
func noteLocations(c *cobra.Command) *locations {
	l := new(locations)
	if f := c.Flags().Lookup("config"); f != nil {
		f.Value = noted{f.Value, func(value string) { l.files = append(l.files, value) }}
	}
	if f := c.Flags().Lookup("set"); f != nil {
		f.Value = noted{f.Value, func(value string) {
			key, value, _ := strings.Cut(value, "=")
			l.sets = append(l.sets, "yaml:"+strings.ReplaceAll(strings.TrimSpace(key), ".", "::")+": "+strings.TrimSpace(value))
		}}
	}
	return l
}

// addresses are where a configuration has deployloop listen, as this machine reaches
// it; "" for what it has not.
type addresses struct {
	page, grpc, http, cicd, metrics string
	state, mode, alertmanager       string
	probe                           string // one that is listened on once all have started
}

func addressesOf(w wiring) (a addresses) {
	url := func(c confighttp.ServerConfig) string {
		scheme := "http://"
		if c.TLS.HasValue() {
			scheme = "https://"
		}
		return scheme + reachable(c.NetAddr)
	}
	for _, r := range used(w, partsOf[*otlpreceiver.Config](w.config.Receivers)) {
		if g := r.config.Protocols.GRPC.Get(); g != nil {
			a.grpc = cmp.Or(a.grpc, reachable(g.NetAddr))
		}
		if h := r.config.Protocols.HTTP.Get(); h != nil {
			a.http = cmp.Or(a.http, url(h.ServerConfig))
		}
	}
	for _, r := range used(w, partsOf[*cicdreceiver.Config](w.config.Receivers)) {
		a.cicd, a.probe = cmp.Or(a.cicd, url(r.config.ServerConfig)), cmp.Or(a.probe, reachable(r.config.NetAddr))
	}
	for _, e := range used(w, partsOf[*prometheusexporter.Config](w.config.Exporters)) {
		a.metrics = cmp.Or(a.metrics, url(e.config.ServerConfig))
	}
	for _, e := range used(w, partsOf[*alertmanagerexporter.Config](w.config.Exporters)) {
		for _, one := range e.config.Endpoints {
			a.alertmanager = cmp.Or(a.alertmanager, endpoint.Shown(one.Endpoint))
		}
	}
	for _, c := range used(w, partsOf[*anomalyconnector.Config](w.config.Connectors)) {
		a.mode = cmp.Or(a.mode, string(c.config.Mode))
	}
	for _, s := range started(w, partsOf[*filestorage.Config](w.config.Extensions)) {
		a.state = cmp.Or(a.state, s.config.Directory)
	}
	for _, c := range started(w, partsOf[*consoleextension.Config](w.config.Extensions)) {
		a.page, a.probe = cmp.Or(a.page, url(c.config.ServerConfig)), cmp.Or(reachable(c.config.NetAddr), a.probe)
	}
	return a
}

// announce says where everything is, once it is listened on. Of a configuration that
// cannot be read the Collector says so itself; one that has nothing of the loop is
// any Collector's; and where somebody listens already, the start is about to fail.
func announce(ctx context.Context, w io.Writer, l *locations) {
	config, _, err := readConfig(ctx, l.all())
	if err != nil {
		return
	}
	a := addressesOf(wiring{config})
	if a.probe == "" {
		return
	}
	if taken, err := net.DialTimeout("tcp", a.probe, time.Second); err == nil {
		_ = taken.Close()
		return
	}
	go func() {
		if waitForListener(ctx, a.probe, 15*time.Second) {
			fmt.Fprint(w, a.text(terminal.NewPainter(w), slices.Equal(l.all(), []string{scheme + ":"})))
		}
	}()
}

func (a addresses) text(p terminal.Painter, builtIn bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s %s\n\n", p.Bold("deployloop"), buildVersion())
	row := func(name string, parts ...string) {
		if parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" }); len(parts) > 0 {
			fmt.Fprintf(&b, "  %-13s %s\n", name, strings.Join(parts, "   "))
		}
	}
	with := func(before, s, after string) string {
		if s == "" {
			return ""
		}
		return before + s + after
	}
	page := p.Link(a.page)
	if a.page == "" {
		page = "none: the console extension is not started"
	}
	own := ""
	if builtIn {
		own = "the Collector's own http://" + defaultSelfMetrics + "/metrics"
	}
	row("page", page)
	row("OTLP", with("grpc ", a.grpc, ""), with("http ", a.http, ""))
	row("deployments", with("", a.cicd, "/v1/deployments"), with("webhooks ", a.cicd, "/webhooks/…"))
	row("metrics", with("", a.metrics, "/metrics"), own)
	row("state", a.state)

	fmt.Fprintf(&b, "\n  %s\n", p.Dim("to close the loop"))
	if to := cmp.Or(a.http, with("http://", a.grpc, "")); to != "" {
		fmt.Fprintf(&b, "  [ ] telemetry     OTEL_EXPORTER_OTLP_ENDPOINT=%s on your services\n", to)
	}
	b.WriteString("  [ ] deployments   deployloop mark --service NAME --revision SHA, or a new service.version seen\n")
	alertmanager := a.alertmanager
	switch {
	case alertmanager != "":
	case builtIn:
		alertmanager = "not set: export " + envAlertmanager + "=http://127.0.0.1:9093"
	default:
		alertmanager = "not set: add the alertmanager exporter"
	}
	fmt.Fprintf(&b, "  %s Alertmanager  %s\n", checkbox(a.alertmanager != ""), alertmanager)
	fmt.Fprintf(&b, "  %s mode          %s\n\n", checkbox(a.mode != ""), cmp.Or(a.mode, "none: the anomaly connector is in no pipeline"))
	hint := "deployloop doctor tests every link"
	if builtIn {
		hint += "; deployloop init writes a configuration of your own"
	}
	fmt.Fprintf(&b, "  %s\n\n", p.Dim(hint))
	return b.String()
}

func checkbox(done bool) string {
	if done {
		return "[x]"
	}
	return "[ ]"
}
