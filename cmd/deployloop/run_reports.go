package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/report"
)

// maxReportFiles bounds how many files the globs may name.
const maxReportFiles = 20_000

// reportFiles are the files that the globs name and that the command wrote.
func (s *step) reportFiles() (fresh []string, stale int) {
	seen := map[string]bool{}
	for _, glob := range s.globs {
		for _, name := range globbed(glob) {
			info, err := os.Stat(name)
			if err != nil || info.IsDir() || seen[name] || len(fresh) == maxReportFiles {
				continue
			}
			seen[name] = true
			if info.ModTime().Before(s.began.Add(-2 * time.Second)) { // file systems keep coarse times
				stale++
				continue
			}
			fresh = append(fresh, name)
		}
	}
	return fresh, stale
}

// expanded are the files that names mean: one that is a pattern, and that no shell
// has expanded, stands for all that it matches. What matches nothing stays.
func expanded(names []string) (files []string) {
	for _, name := range names {
		found := []string{name}
		if _, err := os.Stat(name); err != nil && isPattern(name) {
			if matched := globbed(name); len(matched) > 0 {
				found = matched
			}
		}
		files = append(files, found...)
	}
	return files
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// globbed is filepath.Glob, where ** is any depth of folders.
func globbed(glob string) (names []string) {
	before, after, deep := strings.Cut(filepath.ToSlash(glob), "**/")
	if !deep {
		names, _ = filepath.Glob(glob) // its pattern was checked
		return names
	}
	roots, _ := filepath.Glob(strings.TrimSuffix(before, "/"))
	if before == "" {
		roots = []string{"."}
	}
	depth := strings.Count(after, "/") + 1
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil // what cannot be read is not among them
			}
			parts := strings.Split(filepath.ToSlash(name), "/")
			if ok, _ := filepath.Match(after, strings.Join(parts[max(0, len(parts)-depth):], "/")); ok {
				names = append(names, name)
			}
			return nil
		})
	}
	slices.Sort(names)
	return names
}

// followReports shows failures of reports that are written while the command runs.
// They are judged in the end, when no report can change any more.
func (s *step) followReports(ctx context.Context) {
	sizes, shown := map[string]int64{}, map[string]bool{}
	said := map[string]bool{}
	ticker := time.NewTicker(pollReports)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		fresh, _ := s.reportFiles()
		for _, name := range fresh {
			info, err := os.Stat(name)
			if err != nil || shown[name] {
				continue
			}
			if last, known := sizes[name]; !known || last != info.Size() {
				sizes[name] = info.Size() // it may be growing
				continue
			}
			shown[name] = true
			f, err := os.Open(name)
			if err != nil {
				continue
			}
			_, _ = report.Parse(f, report.Kind(s.kind), s.what.source(), func(i report.Item) error {
				if t := i.Test; t != nil && report.Failed(t.Status) && !said[judge.Key(t.Suite, t.Case)] {
					said[judge.Key(t.Suite, t.Case)] = true
					s.screen.failure(hideName(s.secrets, s.known.Say(judge.NewRun(s.what.revision), *t)), s.known.Runs > 0)
				}
				return nil
			})
			_ = f.Close()
		}
	}
}

// readReports takes in the reports that the command left.
func (s *step) readReports() {
	if len(s.globs) == 0 {
		return
	}
	fresh, stale := s.reportFiles()
	if len(fresh) == 0 {
		note := "no file of --report was written by the command"
		if stale > 0 {
			note += "; older ones are left alone"
		}
		s.screen.note(note)
	}
	for _, name := range fresh {
		err := readFile(name, nil, func(r io.Reader) error {
			sum, err := report.Parse(r, report.Kind(s.kind), s.what.source(), func(i report.Item) error {
				i = hideIn(s.secrets, i)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.run.Add(i)
				if t := i.Test; t != nil {
					s.counted(*t)
					if report.Failed(t.Status) {
						s.fails(judge.Key(t.Suite, t.Case), *t)
					}
				}
				if i.Cut != "" {
					s.cut[i.Cut] = true
				}
				return nil
			})
			s.out.Reports[name] = sum
			s.run.Ended(sum)
			return err
		})
		if err != nil {
			s.out.Unread[name] = err.Error()
			delete(s.out.Reports, name)
		}
	}
	if s.sending != nil {
		s.sending.files = fresh
	}
}
