package setup

import (
	_ "embed"
	"encoding/json"
	"net"
	"strings"
	"text/template"
)

//go:embed config.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New("config").Funcs(template.FuncMap{
	"text":     yamlText,
	"env":      func(name string) string { return `"${env:` + name + `}"` },
	"secretOf": secretOf,
	"hostOf":   func(address string) (string, error) { host, _, err := net.SplitHostPort(address); return host, err },
	"portOf":   func(address string) (string, error) { _, port, err := net.SplitHostPort(address); return port, err },
	"join":     func(list []string) string { return strings.Join(list, ", ") },
}).Parse(configText))

// yamlText quotes a value for YAML, and for the Collector, to which a dollar
// sign begins a reference.
func yamlText(s string) (string, error) {
	var quoted strings.Builder
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	err := e.Encode(strings.ReplaceAll(s, "$", "$$"))
	return strings.TrimSuffix(quoted.String(), "\n"), err
}

// Config is the configuration, as a file.
func Config(a Answers) (string, error) {
	passOn, loop, tellers := []string{"anomaly"}, []string{"prometheus"}, []string(nil)
	backend := ""
	if a.Backend != "" {
		backend = "otlp_grpc/backend"
		if IsURL(a.Backend) {
			backend = "otlp_http/backend"
		}
		passOn = append(passOn, backend)
	}
	if a.RemoteWrite != "" {
		loop = []string{"prometheus_remote_write"}
	}
	if len(a.Alertmanagers) > 0 {
		tellers = append(tellers, "alertmanager")
	}
	if a.Grafana != "" {
		tellers = append(tellers, "grafana_annotation")
	}
	if a.Forge != "" {
		tellers = append(tellers, "forge")
	}
	var out strings.Builder
	err := configTemplate.Execute(&out, struct {
		Answers
		Guarded         bool
		BackendID       string
		BackendInsecure bool
		ForgeToken      string
		PassOn          []string
		Loop, Tellers   []string
	}{a, a.Guarded(), backend, backend == "otlp_grpc/backend" && loopback(a.Backend), forgeToken(a.Forge), passOn, loop, tellers})
	return out.String(), err
}
