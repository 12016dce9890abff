package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

const ownModule = "github.com/deployloop/deployloop"

// manifest is the part of builder-config.yaml that says what is in the binary.
type manifest struct {
	Receivers, Processors, Connectors, Exporters, Extensions, Providers []manifestEntry
}

type manifestEntry struct{ Gomod, Import string }

func (e manifestEntry) module() (path, version string) {
	path, version, _ = strings.Cut(e.Gomod, " ")
	return path, version
}

func (e manifestEntry) importPath() string {
	if e.Import != "" {
		return e.Import
	}
	path, _ := e.module()
	return path
}

func (m manifest) components() []manifestEntry {
	return slices.Concat(m.Receivers, m.Processors, m.Connectors, m.Exporters, m.Extensions)
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	return readManifestFile(t, "builder-config.yaml")
}

func readManifestFile(t *testing.T, name string) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(text, &m))
	require.NotEmpty(t, m.Receivers)
	return m
}

// The versions that ocb would compile are those that go.mod compiles.
func TestManifestVersionsAreThoseOfGoMod(t *testing.T) {
	text, err := exec.Command("go", "mod", "edit", "-json", filepath.Join("..", "..", "go.mod")).Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct{ Path, Version string }
	}
	require.NoError(t, json.Unmarshal(text, &mod))
	required := map[string]string{}
	for _, r := range mod.Require {
		required[r.Path] = r.Version
	}
	m := readManifest(t)
	for _, e := range append(m.components(), m.Providers...) {
		path, version := e.module()
		if path == ownModule {
			continue
		}
		require.Equal(t, required[path], version, "%s: builder-config.yaml and go.mod must name one version", path)
	}
}

// What is linked is what the manifest lists: neither more nor less.
func TestComponentsAreThoseOfTheManifest(t *testing.T) {
	text, err := os.ReadFile("components.go")
	require.NoError(t, err)
	var imported []string
	for _, match := range regexp.MustCompile(`(?m)^\t\w+ "(.+)"$`).FindAllStringSubmatch(string(text), -1) {
		if !strings.HasSuffix(match[1], "/otelconftelemetry") {
			imported = append(imported, match[1])
		}
	}
	var listed []string
	for _, e := range readManifest(t).components() {
		listed = append(listed, e.importPath())
	}
	require.ElementsMatch(t, listed, imported, "run `make generate`")

	_, err = components()
	require.NoError(t, err)
}

func TestProvidersAreThoseOfTheManifest(t *testing.T) {
	settings := collectorSettings()
	var listed, linked []string
	for _, e := range readManifest(t).Providers {
		listed = append(listed, e.importPath())
	}
	for _, f := range manifestProviders() {
		scheme := f.Create(confmap.ProviderSettings{}).Scheme()
		linked = append(linked, settings.ProviderModules[scheme])
	}
	require.ElementsMatch(t, listed, linked)
}

// The generated file is what upstream's builder writes today.
func TestGeneratedComponentsHaveNotDrifted(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	out := t.TempDir()
	text, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	config := strings.NewReplacer("output_path: ./build/ocb", "output_path: "+out, "=> ../..", "=> "+root).Replace(string(text))
	path := filepath.Join(out, "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))

	build := exec.Command("go", "-C", filepath.Join(root, "internal", "tools"), "tool", "builder",
		"--config", path, "--skip-get-modules", "--skip-compilation")
	log, err := build.CombinedOutput()
	require.NoError(t, err, "%s", log)
	generated, err := exec.Command("gofmt", filepath.Join(out, "components.go")).Output()
	require.NoError(t, err)
	committed, err := os.ReadFile("components.go")
	require.NoError(t, err)
	require.Equal(t, string(generated), string(committed), "run `make generate`")
}

// The full manifest is this one and more: a component added here must not be
// missing there.
func TestFullManifestHoldsAllOfTheManifest(t *testing.T) {
	lean, full := readManifest(t), readManifestFile(t, "builder-config.full.yaml")
	require.Subset(t, full.components(), lean.components())
	require.Equal(t, lean.Providers, full.Providers)
	require.Greater(t, len(full.components()), len(lean.components()))
	_, version := lean.Receivers[0].module()
	for _, e := range full.components() {
		if path, got := e.module(); path != ownModule {
			require.Equal(t, version, got, path)
		}
	}
}
