// Package sourcemap leads frames of bundled JavaScript back to the sources that
// they were built of, by the source maps of a local folder. Nothing is fetched,
// and no path leaves the folder.
package sourcemap

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/go-sourcemap/sourcemap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// Limits of what is read and kept.
const (
	MaxBytes   = 32 << 20 // of one map; a larger one is as if it were not there
	keptMaps   = 8
	keptBytes  = 64 << 20
	maxMissing = 1000 // names that are known to have no map
)

// Maps are the source maps of a folder, read as they are needed. The nil value
// knows none. It is safe for concurrent use.
type Maps struct {
	root *os.Root

	mu      sync.Mutex
	byName  map[string]*list.Element // of recent
	recent  *list.List               // *entry, used last first
	bytes   int64
	missing map[string]bool
}

type entry struct {
	name     string
	consumer *sourcemap.Consumer
	bytes    int64
}

// Open takes a folder of maps, laid out as the bundles are served:
// assets/cart.3f9a.js.map for /assets/cart.3f9a.js. The folders of a URL that
// are not in it may be missing.
func Open(folder string) (*Maps, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &Maps{root: root, byName: map[string]*list.Element{}, recent: list.New(), missing: map[string]bool{}}, nil
}

// Close gives the folder back.
func (m *Maps) Close() error {
	if m == nil {
		return nil
	}
	return m.root.Close()
}

// Frame gives the source's file, line and function for a frame of a bundle;
// false when no map tells.
func (m *Maps) Frame(f event.Frame) (event.Frame, bool) {
	if m == nil || f.Line <= 0 || f.Column <= 0 || !isScript(f.File) {
		return f, false
	}
	consumer := m.find(f.File)
	if consumer == nil {
		return f, false
	}
	source, name, line, ok := lookUp(consumer, f.Line, f.Column-1) // runtimes count columns from 1, maps from 0
	if !ok || source == "" || line <= 0 {
		return f, false
	}
	mapped := event.Frame{File: logpattern.ScriptPath(source), Line: line, Function: f.Function, Module: f.Module}
	if name != "" {
		mapped.Function = name
	}
	return mapped, true
}

// lookUp keeps a map that lies about itself from ending the program.
func lookUp(c *sourcemap.Consumer, line, column int) (source, name string, at int, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	source, name, at, _, ok = c.Source(line, column)
	return source, name, at, ok
}

func isScript(file string) bool {
	switch path.Ext(file) {
	case ".js", ".mjs", ".cjs", ".jsx", ".bundle", ".jsbundle":
		return true
	}
	return false
}

// find looks for FILE.map, with fewer and fewer of the folders before it.
func (m *Maps) find(file string) *sourcemap.Consumer {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(file, `\`, "/")), "/")
	if m.missing[rest] {
		return nil
	}
	for name := rest; ; {
		if c := m.read(name + ".map"); c != nil {
			return c
		}
		_, after, ok := strings.Cut(name, "/")
		if !ok {
			break
		}
		name = after
	}
	if len(m.missing) >= maxMissing {
		clear(m.missing)
	}
	m.missing[rest] = true
	return nil
}

func (m *Maps) read(name string) *sourcemap.Consumer {
	if e := m.byName[name]; e != nil {
		m.recent.MoveToFront(e)
		return e.Value.(*entry).consumer
	}
	text, err := m.text(name)
	if err != nil {
		return nil
	}
	consumer, err := parse(text)
	if err != nil {
		return nil
	}
	m.byName[name] = m.recent.PushFront(&entry{name, consumer, int64(len(text))})
	m.bytes += int64(len(text))
	for m.recent.Len() > keptMaps || m.bytes > keptBytes && m.recent.Len() > 1 {
		last := m.recent.Remove(m.recent.Back()).(*entry)
		delete(m.byName, last.name)
		m.bytes -= last.bytes
	}
	return consumer
}

var errSize = fmt.Errorf("a source map of more than %d MiB", MaxBytes>>20)

func (m *Maps) text(name string) ([]byte, error) {
	f, err := m.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxBytes {
		return nil, errSize
	}
	return text, nil
}

// parse reads a map; one that makes the library panic is none.
func parse(text []byte) (c *sourcemap.Consumer, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			c, err = nil, fmt.Errorf("no source map: %v", problem)
		}
	}()
	text = []byte(strings.TrimPrefix(string(text), ")]}'\n")) // some servers guard their JSON so
	return sourcemap.Parse("", text)
}
