package suspect

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// The features of a candidate, each 0 to 1 unless said.
const (
	featLine           = iota // a frame's line was changed by it, or next to what it changed
	featFile                  // a frame's file was changed
	featTestFrame             // only the test's own frame's file or line was changed
	featFunction              // a function or route of the symptom is in what it changed
	featLiteral               // a message or log line of the symptom stands in added lines
	featSubject               // the class that a failing test is named after was changed
	featTestFile              // the failing test itself was changed
	featPackage               // changes lie in the folders of frames or failing tests
	featPathWords             // BM25 of the symptom's words against the paths
	featTextWords             // … against the message
	featDiffWords             // … against the changed lines
	featSpecial               // configuration, dependency, migration or flag
	featChurn                 // changed lines of code: ln(1+n)/ln(1+2000), at most 1
	featNoCode                // tests, docs or build files only, or nothing at all
	featDocsOnly              // docs only, or nothing at all
	featPlaceChurn            // how much it changed of the frame's file or the class under test: ln(1+n)/ln(1+200)
	featTestLine              // the line of the test's own frame was changed by it
	featBreadth               // files of code: ln(1+n)/ln(1+50), at most 1
	featCosmetic              // by its message or its lines it moved or reformatted code, or renamed in it
	featBalanced              // as many lines added as removed in each of several files: a sign of reformatting
	featChurnElsewhere        // churn of one that did not change the top frame's very line, where another did
	featReported              // its own tests or analysers reported something new: 1 in a place or under a name of the symptom, else .4
	featCount
)

// FeatureNames are the names of the features, in the order of Vector and Weights.
var FeatureNames = [featCount]string{"line", "file", "test_frame", "function", "literal", "subject", "test_file", "package",
	"path_words", "text_words", "diff_words", "special", "churn", "no_code", "docs_only",
	"place_churn", "test_line", "breadth", "cosmetic", "balanced", "churn_elsewhere", "reported"}

// Vector is a candidate in numbers.
type Vector [featCount]float64

// evidence is a candidate in numbers, with where each was found.
type evidence struct {
	Vector
	line                 touch
	file                 hit // the frame's file
	function             hit
	literal              hit
	subject              hit
	lineFrame, fileFrame event.Frame // that point there
	reported             string      // the report, in words
	codeLines, codeFiles int         // of code that it changed, moved lines apart
	special              kind
	specials             string // the file
	words                []string
}

// hit is a place in a commit.
type hit struct {
	file, hunk int // indices; -1: none
	line       int // in the new file; 0: unknown
	text       string
}

var noHit = hit{-1, -1, 0, ""}

// weigh turns candidates into evidence. Nothing of a candidate but what it
// changed, its message and its place in the range is looked at.
func weigh(q query, commits []Commit, o Options) []evidence {
	out := make([]evidence, len(commits))
	touches, holder := traceLines(q, commits, o)
	paths := make([]map[string]int, len(commits))
	texts := make([]map[string]int, len(commits))
	diffs := make([]map[string]int, len(commits))
	for i := range commits {
		c := &commits[i]
		e := &out[i]
		e.line, e.file, e.function, e.literal, e.subject = touches[i], noHit, noHit, noHit, noHit
		files := filesOf(c)
		authored := authoredLines(files)
		e.sizes(files, authored)
		if c.Unread && len(files) == 0 {
			e.Vector[featNoCode], e.Vector[featDocsOnly] = 0, 0
		}
		if holder >= 0 && holder != i {
			e.Vector[featChurnElsewhere] = e.Vector[featChurn]
		}
		e.frameFiles(q, files, authored, o)
		e.tests(q, files, authored)
		e.insideHunks(q, files)
		paths[i], texts[i], diffs[i] = wordsOf(c, files)

		if t := touches[i]; t.frame >= 0 {
			e.lineFrame = q.frames[t.frame].Frame
			if q.frames[t.frame].test {
				e.Vector[featTestLine] = t.strength * 2 // a test's frame weighs half
			} else {
				e.Vector[featLine] = t.strength
			}
		}
		e.shape(c, files, authored)
		e.reports(q, c, o)
	}
	rarity(out)
	query := sorted(q.words)
	for i, s := range bm25(query, paths) {
		out[i].Vector[featPathWords] = s
	}
	for i, s := range bm25(query, texts) {
		out[i].Vector[featTextWords] = s
	}
	for i, s := range bm25(query, diffs) {
		out[i].Vector[featDiffWords] = s
		for _, w := range query {
			if (texts[i][w.word] > 0 || paths[i][w.word] > 0) && len(out[i].words) < 6 {
				out[i].words = append(out[i].words, cmp.Or(q.written[w.word], w.word))
			}
		}
	}
	return out
}

// filesOf are the files of a commit; of push events only names are known.
func filesOf(c *Commit) []FileDiff {
	if len(c.Files) > 0 {
		return c.Files
	}
	var files []FileDiff
	for _, list := range [][]string{c.Added, c.Modified, c.Removed} {
		for _, name := range list {
			if len(files) < 2000 {
				files = append(files, FileDiff{Path: name})
			}
		}
	}
	return files
}

func (e *evidence) sizes(files []FileDiff, authored []int) {
	var code, size, known int
	e.Vector[featNoCode], e.Vector[featDocsOnly] = 1, 1
	for i, f := range files {
		k := kindOf(f.Path)
		if f.Submodule {
			k = kindDependency
		}
		switch k {
		case kindCode, kindConfig, kindDependency, kindMigration, kindFlag:
			e.Vector[featNoCode] = 0
		}
		if k != kindDocs && k != kindBuild {
			e.Vector[featDocsOnly] = 0
		}
		switch k {
		case kindCode:
			code += authored[i]
			size += f.Added + f.Removed
			known++
		case kindConfig, kindDependency, kindMigration, kindFlag:
			if e.specials == "" {
				e.special, e.specials = k, f.Path
			}
			e.Vector[featSpecial] = 1
		}
	}
	if size == 0 {
		code = 10 * known // names only
	}
	e.codeLines, e.codeFiles = code, known
	e.Vector[featBreadth] = min(math.Log1p(float64(known))/math.Log1p(50), 1)
	e.Vector[featChurn] = min(math.Log1p(float64(code))/math.Log1p(2000), 1)
}

func (e *evidence) frameFiles(q query, files []FileDiff, authored []int, o Options) {
	for fi := range q.frames {
		frame := &q.frames[fi]
		folder := path.Dir(frame.File)
		for di, f := range files {
			s := frame.weight * max(o.match(frame.File, f.Path), o.match(frame.File, f.OldPath))
			if frame.test {
				e.Vector[featTestFrame] = max(e.Vector[featTestFrame], s)
			} else if s > 0 {
				e.Vector[featPlaceChurn] = max(e.Vector[featPlaceChurn], s*placeChurn(authored[di]))
				if s > e.Vector[featFile] {
					e.Vector[featFile] = s
					e.file, e.fileFrame = hit{di, -1, 0, frame.File}, frame.Frame
				}
			}
			if folder != "." && kindOf(f.Path) == kindCode && o.match(folder+"/x", path.Dir(f.Path)+"/x") >= .9 {
				e.Vector[featPackage] = 1
			}
		}
	}
}

func (e *evidence) tests(q query, files []FileDiff, authored []int) {
	for _, t := range q.tests {
		for di, f := range files {
			base := path.Base(f.Path)
			stem := strings.TrimSuffix(base, path.Ext(base))
			switch {
			case isTest(f.Path):
				if stem == t.class || t.file != "" && samePath(t.file, f.Path) == 1 {
					e.Vector[featTestFile] = 1
				}
			case t.subject != "":
				s := 0.0
				plain, subject := strings.ToLower(strings.ReplaceAll(stem, "_", "")), strings.ToLower(strings.ReplaceAll(t.subject, "_", ""))
				switch {
				case plain == subject:
					s = 1
				case len(plain) >= 4 && strings.HasPrefix(subject, plain), len(subject) >= 4 && strings.HasPrefix(plain, subject):
					s = .6
				case len(plain) >= 5 && strings.Contains(subject, plain), len(subject) >= 5 && strings.Contains(plain, subject):
					s = .4
				}
				if kindOf(f.Path) == kindCode {
					e.Vector[featPlaceChurn] = max(e.Vector[featPlaceChurn], s*placeChurn(authored[di]))
				}
				if s > e.Vector[featSubject] && kindOf(f.Path) == kindCode {
					e.Vector[featSubject] = s
					e.subject = hit{di, -1, 0, t.subject}
				}
			}
			if t.pkg != "" && kindOf(f.Path) == kindCode && strings.HasSuffix("/"+path.Dir(f.Path), "/"+t.pkg) {
				e.Vector[featPackage] = 1
			}
		}
	}
}

// reports looks at what tests and analysers said of the commit itself.
func (e *evidence) reports(q query, c *Commit, o Options) {
	for _, r := range c.Reports {
		s := .4
		if slices.ContainsFunc(q.frames, func(f weighedFrame) bool { return r.File != "" && o.match(f.File, r.File) >= .7 }) ||
			slices.ContainsFunc(q.names, func(name string) bool { return hasName(r.Text, name) || hasName(r.Name, name) }) ||
			slices.ContainsFunc(q.tests, func(t testName) bool {
				name := parseTest(r.Name)
				return t.class != "" && name.class == t.class && name.method == t.method
			}) {
			s = 1
		}
		if s > e.Vector[featReported] {
			e.Vector[featReported], e.reported = s, r.Text
		}
	}
}

// insideHunks looks for names and literals in what changed.
func (e *evidence) insideHunks(q query, files []FileDiff) {
	for di, f := range files {
		k := kindOf(f.Path)
		if k == kindTest || k == kindDocs {
			continue
		}
		for hi := range f.Hunks {
			h := &f.Hunks[hi]
			for _, name := range q.names {
				s := 0.0
				if hasName(h.Function, name) {
					s = 1
				} else if e.Vector[featFunction] < .7 && (anyHas(h.Added, name) || anyHas(h.Removed, name)) {
					s = .7
				}
				if s > e.Vector[featFunction] {
					e.Vector[featFunction] = s
					e.function = hit{di, hi, h.NewStart, name}
				}
			}
			if e.Vector[featLiteral] == 1 || len(q.literals) == 0 {
				continue
			}
			for li, line := range h.Added {
				lower := strings.ToLower(line)
				for _, literal := range q.literals {
					if strings.Contains(lower, literal) {
						e.Vector[featLiteral] = 1
						e.literal = hit{di, hi, h.NewStart + li, literal}
					}
				}
			}
			if e.Vector[featLiteral] == 0 {
				for _, line := range h.Removed {
					lower := strings.ToLower(line)
					for _, literal := range q.literals {
						if strings.Contains(lower, literal) {
							e.Vector[featLiteral] = .3 // it changed a line that said so
							e.literal = hit{di, hi, h.NewStart, literal}
						}
					}
				}
			}
		}
	}
}

func anyHas(lines []string, name string) bool {
	for _, line := range lines {
		if hasName(line, name) {
			return true
		}
	}
	return false
}

// hasName finds an identifier as a whole word.
func hasName(text, name string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		if (start == 0 || !identifier(text[start-1])) && (end == len(text) || !identifier(text[end])) {
			return true
		}
		from = start + 1
	}
}

func identifier(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// wordsOf counts the words of a commit's paths, message and changed lines.
func wordsOf(c *Commit, files []FileDiff) (paths, text, diff map[string]int) {
	paths, text, diff = map[string]int{}, map[string]int{}, map[string]int{}
	left := 20_000
	count := func(m map[string]int, s string) {
		words(s, func(w string) {
			if left > 0 {
				left--
				m[w]++
			}
		})
	}
	for _, f := range files {
		k := kindOf(f.Path)
		if k == kindDocs {
			continue
		}
		base := path.Base(f.Path)
		count(paths, strings.TrimSuffix(base, path.Ext(base)))
	}
	count(text, cutText(c.Message, 4<<10))
	for _, f := range files {
		if k := kindOf(f.Path); k == kindDocs {
			continue
		}
		for _, h := range f.Hunks {
			if left <= 0 {
				return paths, text, diff
			}
			for _, line := range h.Added {
				count(diff, line)
			}
			for _, line := range h.Removed {
				count(diff, line)
			}
		}
	}
	return paths, text, diff
}

// rarity shares a file's evidence among the commits that changed it: a file
// that half of the range touches says little of each.
func rarity(all []evidence) {
	for _, feature := range []int{featFile, featSubject, featTestFile, featTestFrame} {
		holders := 0
		for i := range all {
			if all[i].Vector[feature] > 0 {
				holders++
			}
		}
		if holders < 2 {
			continue
		}
		n := float64(len(all))
		share := math.Log(1+n/float64(holders)) / math.Log(1+n)
		for i := range all {
			all[i].Vector[feature] *= share
		}
	}
}
