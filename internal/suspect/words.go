package suspect

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
)

// words splits text into lower-case words: at what is no letter or digit, and
// inside identifiers (parseHTTPHeader, parse_http_header: parse, http, header).
// Words of one letter and words that are in every program are left out; of
// numbers those of two to six digits count, which may name a ticket.
func words(text string, emit func(string)) {
	spelled(text, func(w, _ string) { emit(w) })
}

// spelled gives the words together with how they are written there.
func spelled(text string, emit func(w, written string)) {
	var word []rune
	digits := 0 // of a number that is being read
	number := func(end int, runes []rune) {
		if digits >= 2 && digits <= 6 {
			n := string(runes[end-digits : end])
			emit(n, n)
		}
		digits = 0
	}
	flush := func() {
		if len(word) > 1 {
			written := strings.ToLower(string(word))
			if w := stem(written); !common[w] {
				emit(w, written)
			}
		}
		word = word[:0]
	}
	var previous rune
	runes := []rune(text)
	for i, c := range runes {
		if c >= '0' && c <= '9' {
			digits++
		} else {
			number(i, runes)
		}
		switch {
		case unicode.IsLetter(c):
			upper := unicode.IsUpper(c)
			if upper && unicode.IsLower(previous) ||
				upper && unicode.IsUpper(previous) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
				flush()
			}
			if len(word) < 40 {
				word = append(word, c)
			}
		default:
			flush()
		}
		previous = c
	}
	number(len(runes), runes)
	flush()
}

// stem takes off the endings that differ between a class, its test and the
// sentence about it (parser, parsed, parsing, parses: pars).
func stem(w string) string {
	for _, ending := range []string{"ations", "ation", "ings", "ing", "ers", "ors", "ies", "ied", "ed", "er", "or", "es", "s", "e"} {
		if rest, ok := strings.CutSuffix(w, ending); ok && len(rest) >= 3 {
			return rest
		}
	}
	return w
}

var common = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`the and for with not was but expected exception error java javax org com net junit assert fail failed failure test tests testcase
		should null true false this that from into when must has have are its src main class function method public static private void
		return string int at in on of to is be by or an it as no if do we go py js ts at file line runtime unexpected actual value values get set
		integration github issue ticket bug case of new`) {
		m[stem(w)] = true
		m[w] = true
	}
	return m
}()

// weighedWord is a word of a symptom. Words are held in order, so that equal
// input gives equal sums to the last bit.
type weighedWord struct {
	word   string
	weight float64
}

func sorted(m map[string]float64) []weighedWord {
	list := make([]weighedWord, 0, len(m))
	for _, w := range slices.Sorted(maps.Keys(m)) {
		list = append(list, weighedWord{w, m[w]})
	}
	return list
}

// BM25's constants, as detection.md has them.
const (
	bm25K1 = 1.2
	bm25B  = .75
)

// bm25 scores documents against a weighted query and squeezes the score s to
// s/(s+half): 0 to 1, and one rare word already counts, however long the query.
func bm25(query []weighedWord, documents []map[string]int) []float64 {
	scores := make([]float64, len(documents))
	if len(query) == 0 {
		return scores
	}
	lengths, total := make([]float64, len(documents)), 0.0
	for i, d := range documents {
		for _, n := range d {
			lengths[i] += float64(n)
		}
		total += lengths[i]
	}
	mean := total / float64(max(len(documents), 1))
	if mean == 0 {
		return scores
	}
	const half = 6 // about a word that one document in twenty holds
	for _, q := range query {
		word, weight := q.word, q.weight
		df := 0
		for _, d := range documents {
			if d[word] > 0 {
				df++
			}
		}
		n := float64(len(documents))
		idf := math.Log(1 + (n-float64(df)+.5)/(float64(df)+.5))
		if df == 0 {
			continue
		}
		for i, d := range documents {
			if tf := float64(d[word]); tf > 0 {
				scores[i] += weight * idf * tf * (bm25K1 + 1) / (tf + bm25K1*(1-bm25B+bm25B*lengths[i]/mean))
			}
		}
	}
	for i := range scores {
		scores[i] /= scores[i] + half
	}
	return scores
}
