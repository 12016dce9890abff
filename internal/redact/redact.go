// Package redact hides secrets in what builds print before it goes to where more
// people read than the log: alerts, pull requests, pages. CI masks its secrets only
// when it shows a log, and deployloop reads before that.
package redact

import (
	"regexp"
	"strings"
)

// Hidden stands for a secret.
const Hidden = "…"

// rule hides what one form of secret looks like. RE2 keeps each linear; the words
// that none of its matches lack keep most text from being searched at all.
type rule struct {
	words []string // in lower case; one of them is in each match
	form  *regexp.Regexp
	with  func(found []string) string // found are the groups
}

// value is what stands behind a name: quoted, or up to what ends a word. What begins
// with = is a comparison.
const value = `("[^"\n]*"?|'[^'\n]*'?|[^\s"',;&=>)}\]][^\s"',;&)}\]]*)`

// named are names whose values are secrets.
const named = `(?:password|passwd|passphrase|secret(?:[_-]?(?:access[_-]?)?key(?:[_-]base)?)?|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|account[_-]?key|credentials?)`

var namedWords = []string{"passw", "passphrase", "secret", "token", "key", "credential"}

var rules = []rule{
	{[]string{"private key"}, regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)`), func(f []string) string {
		return Hidden + strings.Repeat("\n"+Hidden, strings.Count(f[0], "\n")) // as many lines as there were
	}},
	{[]string{"://"}, regexp.MustCompile(`://[^\s/"'<>]*@`), func([]string) string { return "://" + Hidden + "@" }},
	{[]string{"authorization"}, regexp.MustCompile(`(?i)(authorization["']?[ \t]*[:=][ \t]*["']?)[^\s"'][^\n"']*`), func(f []string) string { return f[1] + Hidden }},
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b((?:bearer|basic)[ \t]+)([A-Za-z0-9._~+/=-]{6,})`), func(f []string) string {
		if isWord(f[2]) {
			return f[0]
		}
		return f[1] + Hidden
	}},
	{[]string{"gh", "github_pat_", "gl", "xox", "akia", "asia", "eyj", "npm_", "_live_", "aiza", "hvs.", "dop_v1_", "sg.", "pypi-"}, regexp.MustCompile(
		`gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|oas)-[\w-]{8,}|xox[a-z]-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|` +
			`eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?|npm_[A-Za-z0-9]{20,}|[rs]k_live_\w{8,}|AIza[\w-]{20,}|hvs\.[\w-]{8,}|dop_v1_\w{8,}|SG\.[\w-]{8,}\.[\w-]{8,}|pypi-\w[\w-]{20,}`),
		func([]string) string { return Hidden }},
	{namedWords, regexp.MustCompile(`(?i)(` + named + `)(["']?[ \t]*(?::=|=>|[=:])[ \t]*)` + value), func(f []string) string {
		if strings.Trim(f[2], " \t") == ":" && isWord(f[3]) {
			return f[0] // prose: "invalid token: expected a name"
		}
		return f[1] + f[2] + Hidden
	}},
	{namedWords, regexp.MustCompile(`(?i)(--[a-z-]*` + named + `[ \t]+)([^\s-]\S*)`), func(f []string) string { return f[1] + Hidden }},
	{[]string{"pwd="}, regexp.MustCompile(`(?i)([;"'][ \t]*pwd=)[^\s;"']+`), func(f []string) string { return f[1] + Hidden }},
}

// Text hides what has the form of a secret: users of URLs, values of Authorization,
// tokens of well-known makers, private keys, and values named password, token or
// alike. What a secret looks like is not known of every one: see Values.
func Text(s string) string {
	if s == "" {
		return s
	}
	lower := strings.ToLower(s)
	for _, r := range rules {
		for _, word := range r.words {
			if strings.Contains(lower, word) {
				s = replace(r, s)
				break
			}
		}
	}
	return keyLines(s)
}

func replace(r rule, s string) string {
	var out strings.Builder
	from := 0
	for _, at := range r.form.FindAllStringSubmatchIndex(s, -1) {
		found := make([]string, len(at)/2)
		for i := range found {
			if at[2*i] >= 0 {
				found[i] = s[at[2*i]:at[2*i+1]]
			}
		}
		out.WriteString(s[from:at[0]])
		out.WriteString(r.with(found))
		from = at[1]
	}
	if from == 0 {
		return s
	}
	return out.String() + s[from:]
}

// prose is what stands behind a colon in a sentence, or after "basic".
var prose = regexp.MustCompile(`^["'(\[{]*(?:..?|[A-Za-z]?[a-z-]*)["')\]}.:!?]*$`)

func isWord(s string) bool { return prose.MatchString(s) }

// minKeyLine is shorter than a line of a PEM file, which has 64 bytes.
const minKeyLine = 60

// keyLines hides lines of a key whose begin was cut off.
func keyLines(s string) string {
	if len(s) < minKeyLine {
		return s
	}
	list := strings.Split(s, "\n")
	for i, line := range list {
		if line = strings.TrimSpace(line); len(line) >= minKeyLine && isBase64(line) && !isHex(line) {
			list[i] = Hidden
		}
	}
	return strings.Join(list, "\n")
}

func isBase64(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '+' && c != '/' && c != '=' {
			return false
		}
	}
	return true
}

// isHex: a digest is no key.
func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
