package report

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ParseAll reads one report, or a tar archive of reports as `tar c` writes it.
// Each is told to done with its name ("" for one that is no archive) and, when
// nothing of it could be read, the reason: a broken one costs only itself. The
// error is emit's or done's own, or that of an archive that breaks off.
func ParseAll(r io.Reader, kind Kind, source Source, emit func(Item) error, done func(name string, sum Summary, err error) error) error {
	in := bufio.NewReaderSize(r, detectWindow)
	if head, _ := in.Peek(512); !isTar(head) {
		return one(in, "", kind, source, emit, done)
	}
	archive := tar.NewReader(in)
	for {
		entry, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the archive breaks off: %w", err)
		case entry.Typeflag != tar.TypeReg:
			continue
		}
		name := cut(printable(entry.Name), maxName)
		if err := one(archive, name, kind, source, emit, done); err != nil {
			return err
		}
	}
}

// one parses a report and tells of it; what emit refuses ends everything.
func one(r io.Reader, name string, kind Kind, source Source, emit func(Item) error, done func(string, Summary, error) error) error {
	var refused error
	sum, err := Parse(r, kind, source, func(i Item) error {
		refused = emit(i)
		return refused
	})
	if refused != nil {
		return refused
	}
	return done(name, sum, err)
}

// isTar knows the magic of POSIX and GNU archives.
func isTar(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }
