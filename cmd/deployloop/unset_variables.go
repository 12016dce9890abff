package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// namesUnset says which variables a configuration that was refused reads in
// vain: what a component complains of, as an empty secret, does not know where
// it was read from any more.
func namesUnset(ctx context.Context, err error, locations []string) error {
	if err == nil {
		return nil
	}
	names := unsetVariables(ctx, locations)
	if len(names) == 0 {
		return err
	}
	return fmt.Errorf("%w; not set, of the variables that the configuration reads: %s (export %s=…)", err, strings.Join(names, ", "), names[0])
}

// unsetVariables are those that a configuration reads as ${env:NAME}, without a
// default, and that are empty or not set.
func unsetVariables(ctx context.Context, locations []string) (names []string) {
	settings := collectorSettings().ConfigProviderSettings.ResolverSettings
	settings.URIs, settings.DefaultScheme = locations, envScheme
	for i, factory := range settings.ProviderFactories {
		settings.ProviderFactories[i] = confmap.NewProviderFactory(func(s confmap.ProviderSettings) confmap.Provider {
			provider := factory.Create(s)
			if provider.Scheme() != envScheme {
				return provider
			}
			return notingProvider{provider, func(name string) {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}}
		})
	}
	resolver, err := confmap.NewResolver(settings)
	if err != nil {
		return nil
	}
	_, _ = resolver.Resolve(ctx) // as far as it goes: its error was told
	_ = resolver.Shutdown(ctx)
	slices.Sort(names)
	return names
}

const envScheme = "env"

// notingProvider notes the variables that it is asked for in vain.
type notingProvider struct {
	confmap.Provider
	unset func(name string)
}

func (p notingProvider) Retrieve(ctx context.Context, uri string, changed confmap.WatcherFunc) (*confmap.Retrieved, error) {
	name, _, hasDefault := strings.Cut(strings.TrimPrefix(uri, envScheme+":"), ":-")
	if !hasDefault && os.Getenv(name) == "" {
		p.unset(name)
	}
	return p.Provider.Retrieve(ctx, uri, changed)
}
