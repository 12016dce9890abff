package forgeexporter

import (
	"strings"
	"unicode"

	"github.com/deployloop/deployloop/internal/wording"
)

// textLimit is the most runes of one piece of outside text in a comment.
const textLimit = 1200

// markdown escapes text from outside for the inside of a Markdown line: no
// markup, HTML, link or image comes out of it, and nobody is notified. Forges
// look for mentions and references (@name, #12, !12, $12, ~label) in the
// rendered text, where a backslash is gone, so a zero-width space parts the
// sign from what follows; the same breaks bare links.
func markdown(text string) string {
	runes := []rune(wording.OneLine(text, textLimit))
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '/' && i == 0: // GitLab runs a line that begins with a command
			b.WriteString(`\/`)
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()#!|~$^:+@\"'", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
		next := rune(0)
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		switch {
		case strings.ContainsRune("@#!$~%^&", r) && (unicode.IsLetter(next) || unicode.IsDigit(next) || strings.ContainsRune("_{[\"", next)),
			r == ':' && next == '/',
			r == '.' && i >= 3 && strings.EqualFold(string(runes[i-3:i]), "www"),
			r == '-' && i >= 2 && strings.EqualFold(string(runes[i-2:i]), "gh"):
			b.WriteRune('\u200b')
		}
	}
	return b.String()
}

// code is a code span of text from outside, fenced by more backticks than it
// holds; nothing inside is read as markup. "" for nothing.
func code(text string) string {
	text = wording.OneLine(text, 2*textLimit)
	if text == "" {
		return ""
	}
	run, longest := 0, 0
	for _, r := range text {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// fenced is a block of text that stands as it is: its fence is longer than any
// run of backticks inside, and each line ends without what a terminal or a
// browser might act on.
func fenced(language, text string) string {
	run, longest := 0, 2
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + language + "\n" + wording.Clip(strings.TrimRight(b.String(), "\n"), 4*textLimit) + "\n" + fence + "\n"
}
