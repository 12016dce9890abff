package wording

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/deployloop/deployloop/internal/event"
)

// commandLimit bounds a command; a longer one is not cut (half a command is
// dangerous) but left out for the generic sentence.
const commandLimit = 2000

var (
	// enclosed is what a shell does not take apart. A line in which a quote is
	// left over goes on in the next one.
	enclosed = regexp.MustCompile("'[^']*'|\"(?:\\\\.|[^\"\\\\])*\"|`[^`]*`|\\\\.")
	// unjoinable is a command that means something else with && behind or before
	// it: a comment would swallow what follows, a here-document's text would run.
	unjoinable = regexp.MustCompile(`<<|(?:^|\s)#|[&|;]$|^(?:[&|;!]|(?:if|then|elif|else|fi|for|while|until|select|do|done|case|esac|function)\b)`)
)

// oneLine joins the lines of a script, as an alert shows one: lines that a
// backslash continues, then commands, each of which needs the one before. No
// line is left out but comments, so that what will run is seen. It is not ok when
// it could not be joined without changing what runs, or would not show as it is.
func oneLine(script string) (command string, ok bool) {
	script = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\t", " ").Replace(script))
	if strings.ContainsFunc(script, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		return "", false
	}
	if !strings.Contains(script, "\n") && !strings.HasPrefix(script, "#") {
		return script, script != ""
	}
	var commands []string
	text, outline, continued := "", "", false // of the command under way; outline: without what is enclosed
	for raw := range strings.SplitSeq(script, "\n") {
		line := strings.TrimLeft(raw, " ")
		if !continued && (line == "" || line[0] == '#') {
			continue
		}
		blank := ""
		if line != raw || strings.HasSuffix(text, " ") {
			blank = " "
		}
		bare := enclosed.ReplaceAllString(line, "_")
		if strings.ContainsAny(bare, "'\"`") {
			return "", false
		}
		if bare, continued = strings.CutSuffix(bare, `\`); continued {
			line = strings.TrimSuffix(line, `\`)
		}
		text, outline = strings.TrimRight(text, " ")+blank+line, strings.TrimRight(outline, " ")+blank+bare
		if continued {
			continue
		}
		if outline = strings.TrimSpace(outline); unjoinable.MatchString(outline) ||
			strings.Count(outline, "(") != strings.Count(outline, ")") || strings.Count(outline, "{") != strings.Count(outline, "}") {
			return "", false
		}
		commands, text, outline = append(commands, strings.TrimSpace(text)), "", ""
	}
	return strings.Join(commands, " && "), !continued && len(commands) > 0
}

// Fix says how to undo a deployment: its own rollback command, else one for the
// tool that deployed it, pinned to the last good version; else what to do, in
// words. "" for the zero deployment. Where the version before regressed too, the
// last good one is further back; a rollback command of its own knows nothing of
// that, unless it names the version by a placeholder.
func Fix(v event.Verdict) string {
	text, _ := Rollback(v)
	return text
}

// Rollback is Fix, and whether that is a command; words are not meant to be
// pasted, and names in them are not quoted.
func Rollback(v event.Verdict) (fix string, isCommand bool) {
	d, further := v.Deployment, false
	if d.Service == "" {
		return "", false
	}
	if v.WayBack != nil && v.WayBack.Good != nil {
		d, further = backToGood(d, *v.WayBack.Good), true
	}
	if own, ok := oneLine(strings.ToValidUTF8(d.RollbackCommand, "")); ok {
		if command, ok := fillTemplate(own, d); ok && len(command) <= commandLimit {
			return command, true
		}
	}
	for _, r := range rollbacks {
		for i := len(d.Sources) - 1; i >= 0; i-- { // the last told knows most
			if !strings.EqualFold(d.Sources[i].Name, r.source) || further && r.oneStep && d.Sources[i].Previous == "" {
				continue
			}
			if command := r.command(d.Sources[i], d); command != "" && len(command) <= commandLimit {
				return command, true
			}
			if r.words != nil {
				if words := r.words(d.Sources[i], d); words != "" {
					return words, false
				}
			}
		}
	}
	return rollbackInWords(d), false
}

// BadBefore says that the versions before had regressed too, and what the last
// good one is; "" when they had not.
func BadBefore(w *event.WayBack) string {
	if w == nil || len(w.Regressed) == 0 {
		return ""
	}
	var bad []string
	for _, label := range w.Regressed[:min(len(w.Regressed), 3)] {
		bad = append(bad, OneLine(label, 40))
	}
	text := join(", ", bad...)
	if text == "" {
		text = "the version before"
	}
	if more := len(w.Regressed) - len(bad); more > 0 {
		text += " and " + strconv.Itoa(more) + " before"
	}
	text += " had regressed too, "
	if w.Good == nil || w.Good.Label() == "" {
		return text + "no good version is known here"
	}
	return text + "the last good version is " + OneLine(w.Good.Label(), 40)
}

func rollbackInWords(d event.Deployment) string {
	where := ""
	if d.Environment != "" && d.Environment != event.DefaultEnvironment {
		where = " to " + OneLine(d.Environment, nameLimit)
	}
	service := OneLine(d.Service, nameLimit)
	previous := OneLine(d.PreviousLabel(), nameLimit)
	if previous == "" {
		return "Deploy the last good version of " + service + where + " again; which one it was is not known here."
	}
	if revision := shortRevision(d.PreviousRevision); revision != "" && revision != previous {
		previous += " (" + revision + ")"
	}
	return "Deploy " + previous + " of " + service + where + " again, the way " + OneLine(d.Label(), nameLimit) + " was deployed."
}

// FixForward is the command that reverts the suspect commit, or what to look at
// when no commit is certain; "" when nothing is known of the commits.
func FixForward(s *event.Suspicion) string {
	if s == nil {
		return ""
	}
	if s.Abstained || len(s.Suspects) == 0 {
		if s.Range != "" && s.Commits > 0 && !IsOption(s.Range) {
			return "git log -p " + ShellQuote(s.Range) + "   # no single commit is certain"
		}
		return ""
	}
	c := s.Suspects[0].Change
	if c.Revision == "" || IsOption(c.Revision) {
		return ""
	}
	merge := ""
	if len(c.Parents) > 1 {
		merge = "-m 1 " // a merge: keep the side of the branch that it landed on
	}
	return "git revert " + merge + ShellQuote(c.Revision)
}

// ShellQuote quotes a value for a POSIX shell unless it is plainly harmless:
// the commands are meant to be pasted, and names come from outside. Callers
// refuse what a command would read as an option (see IsOption).
func ShellQuote(value string) string {
	value = visible(value)
	if value == "" {
		return "''"
	}
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if strings.IndexFunc(value, func(r rune) bool { return !harmless(r) }) < 0 {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// visible leaves out what nobody would see in a command before it is pasted.
func visible(value string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, ""))
}

// IsOption tells a name that a command would take for an option, as ShellQuote writes
// it: quoting does not help against a leading dash.
func IsOption(name string) bool { return strings.HasPrefix(strings.TrimSpace(visible(name)), "-") }

func jsonText(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(OneLine(value, nameLimit))
}
