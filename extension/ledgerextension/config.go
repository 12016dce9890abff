package ledgerextension

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/ledger"
)

// Config of the ledger extension.
type Config struct {
	// Storage is the storage extension that the ledger persists to; without
	// one it is held in memory and lost at a restart.
	Storage *component.ID `mapstructure:"storage"`
	// FlushInterval is how often changes are written, at most a second.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// Retention is how long past deployments, changes, runs, closed anomalies
	// and verdicts are kept.
	Retention time.Duration `mapstructure:"retention"`
	// ReconcileWithin is how far apart two sources may tell of one rollout.
	ReconcileWithin time.Duration `mapstructure:"reconcile_within"`
	// VanishAfter is how long a version must be silent to count as gone.
	VanishAfter time.Duration `mapstructure:"vanish_after"`
	// ConfirmAfter is how long a version that came back must stay to count as
	// rolled back to.
	ConfirmAfter time.Duration `mapstructure:"confirm_after"`
	// Settle is how long after the first telemetry of a service every version
	// of it counts as baseline.
	Settle time.Duration `mapstructure:"settle"`
	// RollbackCommands are your own, for deployments that bring none; the first
	// that matches counts.
	RollbackCommands []RollbackCommand `mapstructure:"rollback_commands"`
	// Limits bounds what is held.
	Limits LimitsConfig `mapstructure:"limits"`
}

// RollbackCommand is how the deployments of some services are undone.
type RollbackCommand struct {
	Service     string `mapstructure:"service"`     // glob over service.name; empty: all
	Environment string `mapstructure:"environment"` // glob; empty: all
	// Command is shown as the fix of an alert, with {service}, {environment},
	// {version}, {revision}, {previous_version}, {previous_revision} and
	// {repository} filled in.
	Command string `mapstructure:"command"`
}

// LimitsConfig is how many objects of each kind are held.
type LimitsConfig struct {
	Deployments         int `mapstructure:"deployments"`
	DeploymentsPerPlace int `mapstructure:"deployments_per_service"`
	Services            int `mapstructure:"services"`
	Changes             int `mapstructure:"changes"`
	PipelineRuns        int `mapstructure:"pipeline_runs"`
	Anomalies           int `mapstructure:"anomalies"`
	Verdicts            int `mapstructure:"verdicts"`
	InferredPerHour     int `mapstructure:"inferred_per_hour"`
}

func createDefaultConfig() component.Config {
	return &Config{
		FlushInterval:   500 * time.Millisecond,
		Retention:       720 * time.Hour,
		ReconcileWithin: time.Hour,
		VanishAfter:     5 * time.Minute,
		ConfirmAfter:    time.Minute,
		Settle:          10 * time.Second,
		Limits: LimitsConfig{
			Deployments: 10_000, DeploymentsPerPlace: 500, Services: 10_000, Changes: 50_000,
			PipelineRuns: 20_000, Anomalies: 10_000, Verdicts: 10_000, InferredPerHour: 30,
		},
	}
}

// Validate names every setting that cannot work, and what would.
func (c *Config) Validate() error {
	var errs []error
	if c.FlushInterval < 10*time.Millisecond || c.FlushInterval > time.Second {
		errs = append(errs, fmt.Errorf("flush_interval is %s: use 10ms to 1s, so that at most a second is lost", c.FlushInterval))
	}
	if c.Settle < 0 {
		errs = append(errs, fmt.Errorf("settle is %s: use 0s or more", c.Settle))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"retention", c.Retention},
		{"reconcile_within", c.ReconcileWithin},
		{"vanish_after", c.VanishAfter},
		{"confirm_after", c.ConfirmAfter},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s: use a duration above zero", d.name, d.value))
		}
	}
	for i, r := range c.RollbackCommands {
		if strings.TrimSpace(r.Command) == "" {
			errs = append(errs, fmt.Errorf("rollback_commands[%d]::command is empty: write it like `make deploy SERVICE={service} VERSION={previous_version}`", i))
		}
		for _, glob := range []string{r.Service, r.Environment} {
			if _, err := path.Match(glob, ""); err != nil {
				errs = append(errs, fmt.Errorf("rollback_commands[%d]: %q is no glob; use * for any text", i, glob))
			}
		}
	}
	for _, l := range []struct {
		name  string
		value int
	}{
		{"deployments", c.Limits.Deployments},
		{"deployments_per_service", c.Limits.DeploymentsPerPlace},
		{"services", c.Limits.Services},
		{"changes", c.Limits.Changes},
		{"pipeline_runs", c.Limits.PipelineRuns},
		{"anomalies", c.Limits.Anomalies},
		{"verdicts", c.Limits.Verdicts},
		{"inferred_per_hour", c.Limits.InferredPerHour},
	} {
		if l.value <= 0 {
			errs = append(errs, fmt.Errorf("limits::%s is %d: use a number above zero", l.name, l.value))
		}
	}
	return errors.Join(errs...)
}

// limits are those of the ledger.
func (c *Config) limits() ledger.Limits {
	settle := c.Settle
	if settle == 0 {
		settle = -1 // zero means the default there
	}
	commands := make([]ledger.RollbackCommand, len(c.RollbackCommands))
	for i, r := range c.RollbackCommands {
		commands[i] = ledger.RollbackCommand(r)
	}
	return ledger.Limits{
		Deployments: c.Limits.Deployments, PerPlace: c.Limits.DeploymentsPerPlace, Places: c.Limits.Services,
		Changes: c.Limits.Changes, Runs: c.Limits.PipelineRuns, Anomalies: c.Limits.Anomalies, Verdicts: c.Limits.Verdicts,
		InferredPerHour: c.Limits.InferredPerHour,
		Retention:       c.Retention, ReconcileWithin: c.ReconcileWithin,
		VanishAfter: c.VanishAfter, ConfirmAfter: c.ConfirmAfter, Settle: settle,
		RollbackCommands: commands,
	}
}
