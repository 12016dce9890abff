// Command generate writes Grafana's dashboards of deployloop as JSON files into
// the folder that is its argument (make dashboards).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// all gives the dashboards by file name.
func all() map[string]*dashboard.DashboardBuilder {
	return map[string]*dashboard.DashboardBuilder{
		"loop.json":       loop(),
		"deployment.json": deployment(),
		"service.json":    service(),
		"build.json":      build(),
	}
}

func write(folder string) error {
	for file, builder := range all() {
		text, err := render(builder)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func render(builder *dashboard.DashboardBuilder) ([]byte, error) {
	built, err := builder.Build()
	if err != nil {
		return nil, err
	}
	for i, p := range built.Panels {
		id := uint32(i + 1)
		if p.Panel != nil {
			p.Panel.Id = &id
		} else {
			p.RowPanel.Id = id
		}
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}
