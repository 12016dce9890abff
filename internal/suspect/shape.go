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
func (e *evidence) shape(c *Commit, files []FileDiff) {
	subject, _, _ := strings.Cut(c.Message, "\n")
	if found := cosmeticMessage.FindAllString(cutText(subject, 300), 8); len(found) > 0 {
		// "Fix javadoc" is about nothing else; a long sentence is about more.
		e.Vector[featCosmetic] = min(1, 5*float64(len(found))/float64(len(strings.Fields(subject))))
	}
	balanced, edited, withText, moved := 0, 0, 0, true
	for i := range files {
		f := &files[i]
		if kindOf(f.Path) != kindCode {
			continue
		}
		if f.Added+f.Removed > 0 {
			edited++
			if f.Added == f.Removed {
				balanced++
			}
		}
		if len(f.Hunks) > 0 && !f.Truncated && (len(f.Hunks[0].Added) > 0 || len(f.Hunks[0].Removed) > 0) {
			withText++
			moved = moved && sameLines(f.Hunks)
		}
	}
	if edited > 0 && e.Vector[featChurn] > math.Log1p(12)/math.Log1p(2000) {
		e.Vector[featBalanced] = float64(balanced) / float64(edited)
	}
	if withText > 0 && withText == edited && moved {
		e.Vector[featCosmetic] = 1
	}
}

// sameLines says whether the hunks of a file remove and add the same lines,
// spaces and order apart.
func sameLines(hunks []Hunk) bool {
	count := map[string]int{}
	squeeze := func(line string) string { return strings.Join(strings.Fields(line), "") }
	for _, h := range hunks {
		for _, line := range h.Added {
			count[squeeze(line)]++
		}
		for _, line := range h.Removed {
			count[squeeze(line)]--
		}
	}
	delete(count, "")
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// placeChurn is how much of one file was changed.
func placeChurn(f FileDiff) float64 {
	return min(math.Log1p(float64(f.Added+f.Removed))/math.Log1p(200), 1)
}
