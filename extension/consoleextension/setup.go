package consoleextension

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/deployloop/deployloop/internal/event"
)

// setup is what the console reads from the Collector's effective
// configuration: addresses and switches, never a secret.
type setup struct {
	Addresses     []address
	Mode          event.Mode            // of the anomaly connector
	Modes         map[string]event.Mode // of the services that it overrides
	Watching      bool                  // an anomaly connector is in a pipeline
	Marking       bool                  // a deploy_marker is in a pipeline
	Receiving     bool                  // a cicd receiver is in a pipeline
	Alertmanagers []string              // hosts that alerts go to
}

// address is where something is to be sent.
type address struct {
	What string // "telemetry, OTLP/gRPC"
	At   string // "127.0.0.1:4317"
}

// Addresses that receivers listen on when their config names none.
const (
	defaultOTLPGRPC = "localhost:4317"
	defaultOTLPHTTP = "localhost:4318"
	defaultCICD     = "127.0.0.1:8088"
)

// readSetup reads the effective configuration. What is configured but in no
// pipeline does not run, so it does not count.
func readSetup(conf *confmap.Conf) *setup {
	s := &setup{Mode: event.Shadow, Modes: map[string]event.Mode{}}
	all := conf.ToStringMap()
	used := usedInPipelines(all)
	for _, id := range slices.Sorted(maps.Keys(dig(all, "receivers"))) {
		if !used[id] {
			continue
		}
		c := dig(all, "receivers", id)
		switch componentType(id) {
		case "otlp":
			protocols := dig(c, "protocols")
			if _, ok := protocols["grpc"]; ok {
				s.Addresses = append(s.Addresses, address{"telemetry, OTLP/gRPC", text(dig(protocols, "grpc"), "endpoint", defaultOTLPGRPC)})
			}
			if _, ok := protocols["http"]; ok {
				s.Addresses = append(s.Addresses, address{"telemetry, OTLP/HTTP", text(dig(protocols, "http"), "endpoint", defaultOTLPHTTP)})
			}
		case "cicd":
			s.Receiving = true
			s.Addresses = append(s.Addresses, address{"deployments and webhooks", text(c, "endpoint", defaultCICD)})
		}
	}
	for id := range dig(all, "processors") {
		s.Marking = s.Marking || used[id] && componentType(id) == "deploy_marker"
	}
	for _, id := range slices.Sorted(maps.Keys(dig(all, "connectors"))) {
		if used[id] && componentType(id) == "anomaly" {
			s.Watching = true
			c := dig(all, "connectors", id)
			s.Mode = event.Mode(text(c, "mode", string(event.Shadow)))
			overrides, _ := c["overrides"].([]any)
			for _, o := range overrides {
				o, _ := o.(map[string]any)
				if service, mode := text(o, "service", ""), text(o, "mode", ""); mode != "" && s.Modes[service] == "" { // the first match wins
					s.Modes[service] = event.Mode(mode)
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(dig(all, "exporters"))) {
		if !used[id] || componentType(id) != "alertmanager" {
			continue
		}
		endpoints, _ := dig(all, "exporters", id)["endpoints"].([]any)
		for _, e := range endpoints { // written as its URL alone, or as a map
			raw, ok := e.(string)
			if m, isMap := e.(map[string]any); isMap {
				raw, ok = text(m, "endpoint", ""), true
			}
			if ok {
				s.Alertmanagers = append(s.Alertmanagers, hostOf(raw))
			}
		}
	}
	return s
}

// modeOf is the mode of a service.
func (s *setup) modeOf(service string) event.Mode {
	if mode, ok := s.Modes[service]; ok {
		return mode
	}
	return s.Mode
}

// usedInPipelines holds the ids of every component that some pipeline names.
func usedInPipelines(all map[string]any) map[string]bool {
	used := map[string]bool{}
	pipelines := dig(all, "service", "pipelines")
	for name := range pipelines {
		p := dig(pipelines, name)
		for _, part := range []string{"receivers", "processors", "exporters"} {
			ids, _ := p[part].([]any)
			for _, id := range ids {
				if t, ok := id.(string); ok {
					used[t] = true
				}
			}
		}
	}
	return used
}

// dig walks nested maps; nil where there is none.
func dig(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// text of a key; a running Collector gives values of the components' own string
// types.
func text(m map[string]any, key, otherwise string) string {
	if v := reflect.ValueOf(m[key]); v.Kind() == reflect.String && v.Len() > 0 {
		return v.String()
	}
	return otherwise
}

func componentType(id string) string {
	t, _, _ := strings.Cut(id, "/")
	return t
}

// hostOf drops all but the host of a URL: the rest may hold credentials.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return "an address that cannot be read"
}

func (s *site) setSetup(v *setup) { s.setup.Store(v) }

// mode of the connector; "" before the configuration is known.
func (s *site) mode() string {
	if v := s.setup.Load(); v != nil && v.Watching {
		return string(v.Mode)
	}
	return ""
}

// checkState says how a line of the checklist stands, in words too.
type checkState string

const (
	checkDone    checkState = "done"
	checkWaiting checkState = "waiting"
	checkMissing checkState = "missing"
	checkNote    checkState = "note"
)

// check is one line of the first-run checklist.
type check struct {
	State checkState `json:"state"`
	What  string     `json:"what"`
	Fix   string     `json:"fix,omitempty"` // the next step; "" when done
}

// checklist says what is set up and, where something is not, the next step.
func (s *site) checklist(sum summary) []check {
	var list []check
	add := func(state checkState, what, fix string) { list = append(list, check{state, what, fix}) }
	v := s.setup.Load()

	switch {
	case sum.Services > 0:
		add(checkDone, count(sum.Services, "service")+" seen", "")
	default:
		add(checkWaiting, "No service seen yet", "Send telemetry: set OTEL_EXPORTER_OTLP_ENDPOINT to the OTLP address above, and service.name and service.version in OTEL_RESOURCE_ATTRIBUTES.")
	}
	switch {
	case len(sum.Sources) > 0:
		add(checkDone, "Deployments told by "+strings.Join(sum.Sources, ", "), "")
	case sum.Deployments > 0:
		add(checkNote, "Deployments are inferred from telemetry alone", "Tell them at their start, for a faster verdict and a rollback command: deployloop mark --service S --revision R, or a webhook.")
	default:
		add(checkWaiting, "No deployment seen yet", "The next new service.version or vcs.ref.head.revision counts as one; or tell it: deployloop mark --service S --revision R.")
	}
	if sum.Changes > 0 {
		add(checkDone, "Commits are known", "")
	} else {
		add(checkNote, "No commit is known, so no suspect can be named from pushes", "Add a push webhook, or name a local clone under `repositories` of the anomaly connector.")
	}
	if v == nil {
		return list // the configuration was not told yet
	}
	if !v.Marking {
		add(checkMissing, "No deploy_marker in a pipeline: telemetry is not tied to deployments", "Add deploy_marker to the processors of the traces, metrics and logs pipelines.")
	}
	if !v.Receiving {
		add(checkNote, "No cicd receiver in a pipeline: webhooks and `deployloop mark` are not received", "Add cicd to the receivers of the traces, metrics and logs pipelines.")
	}
	if !v.Watching {
		add(checkMissing, "No anomaly connector in a pipeline: nothing is watched", "Add anomaly to the exporters of the telemetry pipelines and to the receivers of a logs pipeline.")
	} else {
		switch v.Mode {
		case event.Shadow:
			add(checkNote, "Mode is shadow: verdicts are shown here only, no alert is sent", "When the verdicts convince, set `mode: advise` on the anomaly connector, or per service in its overrides.")
		case event.Advise:
			add(checkDone, "Mode is advise: regressions are alerted", "")
		default:
			add(checkDone, fmt.Sprintf("Mode is %s", v.Mode), "")
		}
	}
	if len(v.Alertmanagers) > 0 {
		add(checkDone, "Alerts go to Alertmanager at "+strings.Join(v.Alertmanagers, ", "), "")
	} else {
		add(checkNote, "No Alertmanager is set", "With the built-in configuration start with DEPLOYLOOP_ALERTMANAGER_URL=http://127.0.0.1:9093; in your own add `alertmanager: {endpoints: [http://127.0.0.1:9093]}` to the exporters and to the pipeline that receives from anomaly.")
	}
	return list
}

// addresses is where to send what, the console's own included.
func (s *site) addresses() []address {
	var list []address
	if v := s.setup.Load(); v != nil {
		list = append(list, v.Addresses...)
	}
	return append(list, address{"this page and its API", s.ownURL()})
}
