package anomalyconnector

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
)

// Config of the connector; README.md lists every key with its default.
type Config struct {
	// Ledger is the extension that knows the deployments.
	Ledger component.ID `mapstructure:"ledger"`
	// Storage keeps the engine's baselines over restarts; without it they are
	// learnt anew.
	Storage *component.ID `mapstructure:"storage"`
	// Mode is how far what is found may reach: shadow, advise or gate.
	Mode event.Mode `mapstructure:"mode"`
	// Watch lists the checkpoints after a deployment's first telemetry; the
	// last one ends the watch.
	Watch []time.Duration `mapstructure:"watch"`
	// FalseAlarmsPer1000Deploys is the budget of false "regressed".
	FalseAlarmsPer1000Deploys float64 `mapstructure:"false_alarms_per_1000_deploys"`
	// MinEffect is what counts as worse at all.
	MinEffect MinEffect `mapstructure:"min_effect"`
	// SLO is what the impact is measured with.
	SLO SLO `mapstructure:"slo"`
	// Gauges names the gauges to watch and which way is worse.
	Gauges []GaugeConfig `mapstructure:"gauges"`
	// Overrides change settings for some services; the first match wins.
	Overrides []Override `mapstructure:"overrides"`
	// Repositories are local clones, or forges, to read commits from.
	Repositories []Repository `mapstructure:"repositories"`
	// Builds is how results of builds and tests are judged.
	Builds Builds `mapstructure:"builds"`
	// Placebos are watches of deployments that never were, which calibrate the
	// thresholds.
	Placebos Placebos `mapstructure:"placebos"`
	// AlwaysOn looks for what gets worse while nothing is deployed.
	AlwaysOn AlwaysOn `mapstructure:"always_on"`
	// Heartbeat is how often what is open is told again.
	Heartbeat time.Duration `mapstructure:"heartbeat"`
	// Limits bound memory and time.
	Limits Limits `mapstructure:"limits"`

	_ struct{}
}

// SLO says how many requests shall succeed. No verdict rests on it.
type SLO struct {
	Objective float64       `mapstructure:"objective"` // share of requests
	Window    time.Duration `mapstructure:"window"`
}

// MinEffect are the smallest effects that are harm.
type MinEffect struct {
	ErrorRatio float64 `mapstructure:"error_ratio"` // absolute rise of an error share
	RateRatio  float64 `mapstructure:"rate_ratio"`  // factor of any rate
}

// Placebos bound the windows in which nothing is deployed and a deployment is
// watched all the same.
type Placebos struct {
	Enabled    bool          `mapstructure:"enabled"`
	Window     time.Duration `mapstructure:"window"`     // of one
	Indicators int           `mapstructure:"indicators"` // that all which run may hold
}

// AlwaysOn bounds the search for what gets worse while nothing is deployed.
type AlwaysOn struct {
	Enabled            bool    `mapstructure:"enabled"`
	FalseAlarmsPerWeek float64 `mapstructure:"false_alarms_per_week"` // of a service
	Indicators         int     `mapstructure:"indicators"`            // that all services may hold
}

// GaugeConfig chooses gauges by name.
type GaugeConfig struct {
	Name  string `mapstructure:"name"`  // glob
	Worse string `mapstructure:"worse"` // lower | higher | both
}

// Override changes settings for the services that match.
type Override struct {
	Service   string          `mapstructure:"service"` // exact service.name
	Mode      event.Mode      `mapstructure:"mode"`
	Signals   []event.Signal  `mapstructure:"signals"` // that may show harm; empty: all
	MinEffect MinEffect       `mapstructure:"min_effect"`
	Watch     []time.Duration `mapstructure:"watch"`
	Objective float64         `mapstructure:"objective"` // of slo
}

// Repository says where the commits of a service are.
type Repository struct {
	Service    string   `mapstructure:"service"`     // glob over service.name
	Path       string   `mapstructure:"path"`        // of a local clone, bare or not
	Forge      *Forge   `mapstructure:"forge"`       // asked where there is no clone, or it lacks a revision
	Paths      []string `mapstructure:"paths"`       // globs: only commits that touch one of these count
	SourceMaps string   `mapstructure:"source_maps"` // folder of the source maps of its bundled JavaScript
	Owners     []string `mapstructure:"owners"`      // and only those that touch what one of these owns, as the clone's CODEOWNERS tells
}

// Builds says how results of builds and tests are judged.
type Builds struct {
	// Branches are globs of those that others are compared with, and on which
	// news for the worse is an alert. Results without a branch count as theirs.
	Branches []string `mapstructure:"branches"`
	// Quiet is how long a run that tells nothing more is waited for, unless its
	// pipeline is known to go on.
	Quiet time.Duration `mapstructure:"quiet"`
}

// Limits bound what the connector holds and does.
type Limits struct {
	Services          int           `mapstructure:"services"`           // watched at once
	Sources           int           `mapstructure:"sources"`            // instances of a service
	Operations        int           `mapstructure:"operations"`         // names of entry spans of a service
	Patterns          int           `mapstructure:"patterns"`           // templates, fingerprints and inner spans of a service under watch
	Templates         int           `mapstructure:"templates"`          // log templates of a service, least recently seen forgotten
	Series            int           `mapstructure:"series"`             // of metrics, of a service
	Watches           int           `mapstructure:"watches"`            // open and lately ended
	Symptoms          int           `mapstructure:"symptoms"`           // alerts of one deployment besides the roll-up
	CPU               float64       `mapstructure:"cpu"`                // cores that reading telemetry may use; beyond, it sheds
	Memory            int           `mapstructure:"memory_mib"`         // MiB that the engine may hold; beyond, it sheds; 0: no limit
	CommitWorkers     int           `mapstructure:"commit_workers"`     // ranges read at once
	CommitTimeout     time.Duration `mapstructure:"commit_timeout"`     // of one range
	Commits           int           `mapstructure:"commits"`            // of one range
	SuspicionPatience time.Duration `mapstructure:"suspicion_patience"` // an alert waits so long for its suspects
}

func createDefaultConfig() component.Config {
	return &Config{
		Ledger:                    component.MustNewID("ledger"),
		Mode:                      event.Shadow,
		Watch:                     []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour},
		FalseAlarmsPer1000Deploys: 1,
		MinEffect:                 MinEffect{ErrorRatio: 0.001, RateRatio: 1.1},
		Placebos:                  Placebos{Enabled: true, Window: 10 * time.Minute, Indicators: 2000},
		AlwaysOn:                  AlwaysOn{Enabled: true, FalseAlarmsPerWeek: 0.1, Indicators: 10_000},
		SLO:                       SLO{Objective: 0.999, Window: 30 * 24 * time.Hour},
		Heartbeat:                 30 * time.Second,
		Builds:                    Builds{Branches: []string{"main", "master", "trunk"}, Quiet: 30 * time.Second},
		Limits: Limits{
			Services: 2000, Sources: 500, Operations: 200, Patterns: 2000, Templates: 10_000, Series: 5000, Watches: 500, Symptoms: 8,
			CPU: 0.5, Memory: 512, CommitWorkers: 2, CommitTimeout: 20 * time.Second, Commits: 500, SuspicionPatience: time.Second,
		},
	}
}

var (
	modes   = []event.Mode{event.Shadow, event.Advise, event.Gate}
	signals = []event.Signal{
		event.SignalErrors, event.SignalLatency, event.SignalException, event.SignalLog,
		event.SignalThroughput, event.SignalGauge, event.SignalBuild, event.SignalTest,
	}
)

// Validate names every mistake and how to mend it.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(modes, c.Mode) {
		bad("mode: %q is none of shadow, advise, gate", c.Mode)
	}
	checkWatch(bad, "watch", c.Watch)
	if len(c.Watch) == 0 {
		bad("watch: name at least one duration, e.g. [1m, 10m, 1h, 24h]")
	}
	if !(c.FalseAlarmsPer1000Deploys > 0 && c.FalseAlarmsPer1000Deploys <= 500) {
		bad("false_alarms_per_1000_deploys: %v is outside (0, 500]", c.FalseAlarmsPer1000Deploys)
	}
	if !(c.MinEffect.ErrorRatio > 0 && c.MinEffect.ErrorRatio < 1) {
		bad("min_effect::error_ratio: %v is outside (0, 1); 0.001 is a tenth of a percentage point", c.MinEffect.ErrorRatio)
	}
	if !(c.MinEffect.RateRatio > 1 && c.MinEffect.RateRatio <= 100) {
		bad("min_effect::rate_ratio: %v is outside (1, 100]; 1.1 is a tenth more", c.MinEffect.RateRatio)
	}
	if !(c.SLO.Objective > 0 && c.SLO.Objective < 1) {
		bad("slo::objective: %v is outside (0, 1); 0.999 lets one request of a thousand fail", c.SLO.Objective)
	}
	if c.SLO.Window < 24*time.Hour || c.SLO.Window > 366*24*time.Hour {
		bad("slo::window: %v is outside 24h to 8784h", c.SLO.Window)
	}
	if c.Heartbeat < time.Second || c.Heartbeat > 10*time.Minute {
		bad("heartbeat: %v is outside 1s to 10m", c.Heartbeat)
	}
	for i, glob := range c.Builds.Branches {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			bad("builds::branches[%d]: %q is no glob of a branch's name", i, glob)
		}
	}
	if c.Builds.Quiet < time.Second || c.Builds.Quiet > time.Hour {
		bad("builds::quiet: %v is outside 1s to 1h", c.Builds.Quiet)
	}
	if c.Placebos.Enabled && (c.Placebos.Window < 30*time.Second || c.Placebos.Window > 24*time.Hour) {
		bad("placebos::window: %v is outside 30s to 24h", c.Placebos.Window)
	}
	if c.Placebos.Enabled && c.Placebos.Indicators < 1 {
		bad("placebos::indicators: %d must be at least 1; placebos::enabled: false runs none", c.Placebos.Indicators)
	}
	if c.AlwaysOn.Enabled && !(c.AlwaysOn.FalseAlarmsPerWeek > 0 && c.AlwaysOn.FalseAlarmsPerWeek <= 100) {
		bad("always_on::false_alarms_per_week: %v is outside (0, 100]", c.AlwaysOn.FalseAlarmsPerWeek)
	}
	if c.AlwaysOn.Enabled && c.AlwaysOn.Indicators < 1 {
		bad("always_on::indicators: %d must be at least 1; always_on::enabled: false looks for nothing", c.AlwaysOn.Indicators)
	}
	for i, g := range c.Gauges {
		if _, err := path.Match(g.Name, ""); err != nil || g.Name == "" {
			bad("gauges[%d]::name: %q is no glob of a metric's name", i, g.Name)
		}
		if !slices.Contains([]string{"lower", "higher", "both"}, g.Worse) {
			bad("gauges[%d]::worse: %q is none of lower, higher, both", i, g.Worse)
		}
	}
	for i, o := range c.Overrides {
		if o.Service == "" {
			bad("overrides[%d]::service: name the service (its service.name)", i)
		}
		if o.Mode != "" && !slices.Contains(modes, o.Mode) {
			bad("overrides[%d]::mode: %q is none of shadow, advise, gate", i, o.Mode)
		}
		for _, s := range o.Signals {
			if !slices.Contains(signals, s) {
				bad("overrides[%d]::signals: %q is none of %v", i, s, signals)
			}
		}
		if o.MinEffect.ErrorRatio < 0 || o.MinEffect.ErrorRatio >= 1 || o.MinEffect.RateRatio != 0 && !(o.MinEffect.RateRatio > 1) {
			bad("overrides[%d]::min_effect: error_ratio must lie in (0, 1) and rate_ratio above 1", i)
		}
		if o.Objective < 0 || o.Objective >= 1 {
			bad("overrides[%d]::objective: %v is outside (0, 1); 0.999 lets one request of a thousand fail", i, o.Objective)
		}
		checkWatch(bad, fmt.Sprintf("overrides[%d]::watch", i), o.Watch)
	}
	for i, r := range c.Repositories {
		if _, err := path.Match(r.Service, ""); err != nil || r.Service == "" {
			bad("repositories[%d]::service: %q is no glob of a service's name; \"*\" means all", i, r.Service)
		}
		if r.Path == "" && r.Forge == nil {
			bad("repositories[%d]::path: name the folder of a local clone, or set forge to where the code is", i)
		}
		if r.Forge != nil {
			r.Forge.validate(bad, fmt.Sprintf("repositories[%d]::forge", i))
		}
		for _, p := range r.Paths {
			if strings.TrimSpace(p) == "" {
				bad("repositories[%d]::paths: an empty glob matches nothing; leave it out", i)
			}
		}
	}
	l := c.Limits
	for _, n := range []struct {
		name  string
		value int
	}{
		{"services", l.Services}, {"sources", l.Sources}, {"operations", l.Operations}, {"patterns", l.Patterns}, {"templates", l.Templates}, {"series", l.Series},
		{"watches", l.Watches}, {"symptoms", l.Symptoms}, {"commit_workers", l.CommitWorkers}, {"commits", l.Commits},
	} {
		if n.value < 1 {
			bad("limits::%s: %d must be at least 1", n.name, n.value)
		}
	}
	if !(l.CPU > 0) {
		bad("limits::cpu: %v must be above 0 cores", l.CPU)
	}
	if l.Memory != 0 && l.Memory < 16 {
		bad("limits::memory_mib: %d must be at least 16, or 0 for no limit", l.Memory)
	}
	if l.CommitTimeout <= 0 || l.SuspicionPatience < 0 {
		bad("limits: commit_timeout must be above 0 and suspicion_patience not negative")
	}
	return errors.Join(errs...)
}

func checkWatch(bad func(string, ...any), key string, watch []time.Duration) {
	for i, d := range watch {
		if d < time.Second || d > 30*24*time.Hour {
			bad("%s: %v is outside 1s to 720h", key, d)
		}
		if i > 0 && d <= watch[i-1] {
			bad("%s: %v does not come after %v; list the checkpoints in rising order", key, d, watch[i-1])
		}
	}
}

// modeOf is the mode of a service.
func (c *Config) modeOf(service string) event.Mode {
	for _, o := range c.Overrides {
		if o.Service == service && o.Mode != "" {
			return o.Mode
		}
	}
	return c.Mode
}

func (r *Repository) options(l Limits) gitrange.Options {
	return gitrange.Options{Paths: r.Paths, Owners: r.Owners, MaxCommits: l.Commits, Timeout: l.CommitTimeout}
}

// repositoriesOf are the clones and forges that may hold the commits of a service.
func (c *Config) repositoriesOf(service string) []Repository {
	var out []Repository
	for _, r := range c.Repositories {
		if ok, _ := path.Match(r.Service, service); ok {
			out = append(out, r)
		}
	}
	return out
}
