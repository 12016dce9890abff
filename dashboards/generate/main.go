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
	pack(built.Panels)
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}

const columns = 24 // of Grafana's grid

// pack gives each panel the first free place below its row, so that small ones
// stand beside a high one instead of leaving holes.
func pack(panels []dashboard.PanelOrRowPanel) {
	var top, bottom uint32 // of the section
	taken := map[[2]uint32]bool{}
	free := func(x, y, w, h uint32) bool {
		for i := range w * h {
			if taken[[2]uint32{x + i%w, y + i/w}] {
				return false
			}
		}
		return true
	}
	for _, p := range panels {
		if p.RowPanel != nil {
			p.RowPanel.GridPos = &dashboard.GridPos{Y: bottom, W: columns, H: 1}
			top, bottom = bottom+1, bottom+1
			continue
		}
		at := p.Panel.GridPos
		for at.X, at.Y = 0, top; !free(at.X, at.Y, at.W, at.H); {
			if at.X++; at.X+at.W > columns {
				at.X, at.Y = 0, at.Y+1
			}
		}
		for i := range at.W * at.H {
			taken[[2]uint32{at.X + i%at.W, at.Y + i/at.W}] = true
		}
		bottom = max(bottom, at.Y+at.H)
	}
}
