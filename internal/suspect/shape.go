package suspect

import (
	"math"
	"regexp"
	"strings"
)

// cosmeticMessage is how people name commits that should change no behaviour.
// They sometimes do, so it counts less, and never nothing.
var cosmeticMessage = regexp.MustCompile(`(?i)\b(check ?style|java ?doc|typos?|white ?spaces?|trailing spaces?|re-?format(?:ted|ting)?|format(?:ting)?|indent(?:ation)?|` +
	`licen[cs]e (?:header|header)s?|licen[cs]es|eol|line endings?|sort (?:members|methods|imports)|organi[sz]e imports|unused imports?|no functional changes?|` +
	`spelling|comments?|copyright|gofmt|prettier|lint(?:er|ing)?|cosmetic|style fix(?:es)?|code style|svn:\w+|use final|missing final|@(?:override|since|author|inheritdoc)|pmd|findbugs|` +
	`bump version|prepare (?:for )?release|prepare for next|maven-release-plugin|changelog|release notes)\b`)

// shape looks at what kind of edit a commit is.
func (e *evidence) shape(c *Commit, files []FileDiff, authored []int) {
	subject, _, _ := strings.Cut(c.Message, "\n")
	if found := cosmeticMessage.FindAllString(cutText(subject, 300), 8); len(found) > 0 {
		// "Fix javadoc" is about nothing else; a long sentence is about more.
		e.Vector[featCosmetic] = min(1, 5*float64(len(found))/float64(len(strings.Fields(subject))))
	}
	balanced, edited, lines, own, texts := 0, 0, 0, 0, true
	for i := range files {
		f := &files[i]
		if kindOf(f.Path) != kindCode {
			continue
		}
		if f.Added+f.Removed > 0 {
			edited++
			lines += f.Added + f.Removed
			own += authored[i]
			texts = texts && hasTexts(f)
			if f.Added == f.Removed {
				balanced++
			}
		}
	}
	if edited > 0 && e.Vector[featChurn] > math.Log1p(12)/math.Log1p(2000) {
		e.Vector[featBalanced] = float64(balanced) / float64(edited)
	}
	if lines > 0 && texts && own*20 <= lines {
		e.Vector[featCosmetic] = 1
	}
}

func hasTexts(f *FileDiff) bool {
	return len(f.Hunks) > 0 && !f.Truncated && (len(f.Hunks[0].Added) > 0 || len(f.Hunks[0].Removed) > 0)
}

// bookkeeping are lines that change with where code stands, not with what it
// does: imports, the package's name, lone brackets.
var bookkeeping = regexp.MustCompile(`^\s*(?:[\])}{(;,]*|(?:import|package|using|#include|use)\b.*|from\s+\S+\s+import\b.*|(?:[\w.]+\s+)?"[\w.\-/]+")\s*$`)

// authoredLines counts for each file the changed lines of code that the commit
// did not merely move: the same line, spaces apart, is not also removed, or
// added, somewhere in it. Where the text is not known all lines count.
func authoredLines(files []FileDiff) []int {
	squeeze := func(line string) string { return strings.Join(strings.Fields(line), "") }
	added, removed := map[string]int{}, map[string]int{}
	for i := range files {
		if kindOf(files[i].Path) != kindCode {
			continue
		}
		for _, h := range files[i].Hunks {
			for _, line := range h.Added {
				added[squeeze(line)]++
			}
			for _, line := range h.Removed {
				removed[squeeze(line)]++
			}
		}
	}
	out := make([]int, len(files))
	for i := range files {
		f := &files[i]
		out[i] = f.Added + f.Removed
		if kindOf(f.Path) != kindCode || !hasTexts(f) {
			continue
		}
		moved := func(lines []string, there map[string]int) {
			for _, line := range lines {
				key := squeeze(line)
				if bookkeeping.MatchString(line) {
					out[i]--
				} else if there[key] > 0 {
					there[key]--
					out[i]--
				}
			}
		}
		for _, h := range f.Hunks {
			moved(h.Added, removed)
		}
		for _, h := range f.Hunks {
			moved(h.Removed, added)
		}
		out[i] = max(out[i], 0)
	}
	return out
}

// placeChurn is how much of one file was changed.
func placeChurn(lines int) float64 {
	return min(math.Log1p(float64(lines))/math.Log1p(200), 1)
}
