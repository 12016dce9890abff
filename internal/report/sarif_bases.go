package report

import (
	"path"
	"strings"
)

// sarifPlace is where an artifact is: a URI, and the name of what it is relative to.
type sarifPlace struct{ uri, base string }

// maxBases is how many folders a run may name.
const maxBases = 100

// base reads one of originalUriBaseIds (§3.14.14).
func (s *sarif) base(name string) error {
	var b sarifPlace
	if err := s.placeOf(&b); err != nil {
		return err
	}
	if len(s.bases) < maxBases {
		if s.bases == nil {
			s.bases = map[string]sarifPlace{}
		}
		s.bases[cut(name, maxName)] = sarifPlace{cut(b.uri, maxName), cut(b.base, maxName)}
	}
	return nil
}

// placeOf reads an artifactLocation.
func (s *sarif) placeOf(of *sarifPlace) error {
	return s.w.object(func(name string) error {
		switch name {
		case "uri":
			return s.w.text(&of.uri)
		case "uriBaseId":
			return s.w.text(&of.base)
		}
		return s.w.skip()
	})
}

// folder is what a base means, "" where nothing says so.
func (s *sarif) folder(base string) string {
	below := ""
	for range 10 { // one may be relative to another, and to itself where it is wrong
		b, known := s.bases[base]
		if !known {
			return ""
		}
		below = path.Join(sarifPath(b.uri), below)
		if _, whole := absolute(below); whole || b.base == "" {
			return below
		}
		base = b.base
	}
	return ""
}

// fileOf is a place's path as it makes fingerprints, and as it is shown: a path that
// is relative stays as it is in the first, wherever its base is.
func (s *sarif) fileOf(of sarifPlace) (file, shown string) {
	file = s.fromTheTop(sarifPath(of.uri))
	if file == "" || of.base == "" {
		return file, file
	}
	if _, whole := absolute(file); whole {
		return file, file
	}
	folder := s.folder(of.base)
	if _, whole := absolute(folder); folder != "" && !whole { // below a folder that is not told, as the root of a clone
		return file, path.Join(folder, file)
	}
	shown = s.fromTheTop(path.Join(folder, file))
	if _, whole := absolute(shown); folder == "" || whole {
		return file, file
	}
	return file, shown
}

// fromTheTop is a path from the folder of the sources; where that is not known, from
// the outermost folder that the run names.
func (s *sarif) fromTheTop(file string) string {
	file = s.p.source.relative(file)
	whole, ok := absolute(file)
	if !ok {
		return file
	}
	top := ""
	for name := range s.bases {
		folder, ok := absolute(s.folder(name))
		if folder = strings.TrimSuffix(folder, "/") + "/"; ok && len(folder) > 1 && strings.HasPrefix(whole, folder) && (top == "" || len(folder) < len(top)) {
			top = folder
		}
	}
	if top != "" && len(top) < len(whole) {
		return whole[len(top):]
	}
	return file
}
