package deploymarkerprocessor

import (
	"errors"
	"slices"

	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/event"
)

// Config of the deploy_marker processor.
type Config struct {
	// Ledger is the ledger extension that learns and knows the deployments.
	Ledger component.ID `mapstructure:"ledger"`
	// Infer deployments from the first sight of a new version or revision.
	Infer bool `mapstructure:"infer"`
	// Kubernetes names the version of a pod whose telemetry tells neither a version
	// nor a revision by its image and its ReplicaSet.
	Kubernetes bool `mapstructure:"kubernetes"`
	// DefaultEnvironment is that of resources which name none.
	DefaultEnvironment string `mapstructure:"default_environment"`
	// Read names the resource attributes to read, the first present one counts.
	Read ReadConfig `mapstructure:"read"`
	// Stamp names the resource attributes to write; an empty name writes none.
	Stamp StampConfig `mapstructure:"stamp"`
}

// ReadConfig names attributes by which resources tell who they are.
type ReadConfig struct {
	Service     []string `mapstructure:"service"`
	Environment []string `mapstructure:"environment"`
	Version     []string `mapstructure:"version"`
	Revision    []string `mapstructure:"revision"`
}

// StampConfig names attributes that resources get unless they have them.
type StampConfig struct {
	DeploymentID string `mapstructure:"deployment_id"`
	Environment  string `mapstructure:"environment"`
	Revision     string `mapstructure:"revision"`
	Version      string `mapstructure:"version"` // only one that was read from Kubernetes
}

func createDefaultConfig() component.Config {
	return &Config{
		Ledger:             component.MustNewID("ledger"),
		Infer:              true,
		Kubernetes:         true,
		DefaultEnvironment: event.DefaultEnvironment,
		Read: ReadConfig{
			Service:     []string{event.AttrServiceName},
			Environment: slices.Clone(event.EnvironmentNames),
			Version:     []string{event.AttrServiceVersion},
			Revision:    slices.Clone(event.RevisionNames),
		},
		Stamp: StampConfig{
			DeploymentID: event.AttrDeploymentID,
			Environment:  event.AttrEnvironment,
			Revision:     event.AttrRevision,
			Version:      event.AttrServiceVersion,
		},
	}
}

// Validate names every setting that cannot work, and what would.
func (c *Config) Validate() error {
	var errs []error
	if c.Ledger == (component.ID{}) {
		errs = append(errs, errors.New("ledger is empty: name the ledger extension, for example `ledger: ledger`"))
	}
	if c.DefaultEnvironment == "" || len(c.DefaultEnvironment) > maxValue {
		errs = append(errs, errors.New("default_environment needs 1 to 256 bytes, for example \"production\""))
	}
	if len(c.Read.Service) == 0 {
		errs = append(errs, errors.New("read::service is empty: name the attribute that holds the service, usually service.name"))
	}
	if c.Infer && len(c.Read.Version)+len(c.Read.Revision) == 0 {
		errs = append(errs, errors.New("infer needs read::version or read::revision: name an attribute, or set infer: false"))
	}
	for _, names := range [][]string{c.Read.Service, c.Read.Environment, c.Read.Version, c.Read.Revision} {
		if slices.Contains(names, "") {
			errs = append(errs, errors.New("read holds an empty attribute name: remove it"))
		}
	}
	return errors.Join(errs...)
}
