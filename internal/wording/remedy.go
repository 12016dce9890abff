package wording

import (
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// commandLimit bounds a command; a longer one is not cut (half a command is
// dangerous) but left out for the generic sentence.
const commandLimit = 2000

var continued = regexp.MustCompile(`\s*\\\r?\n\s*`)

// oneLine joins the lines of a script, as an alert shows one: lines that a
// backslash continues, then commands, each of which needs the one before. No
// line is left out but comments, so that what will run is seen.
func oneLine(script string) string {
	var commands []string
	for line := range strings.FieldsFuncSeq(continued.ReplaceAllString(script, " "), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			commands = append(commands, line)
		}
	}
	return strings.Join(commands, " && ")
}

// Fix says how to undo a deployment: its own rollback command, else one for the
// tool that deployed it, pinned to the last good version; else what to do, in
// words. "" for the zero deployment.
func Fix(d event.Deployment) string {
	if d.Service == "" {
		return ""
	}
	if own := oneLine(strings.ToValidUTF8(d.RollbackCommand, "")); own != "" {
		if command, ok := fillTemplate(own, d); ok && len(command) <= commandLimit {
			return command
		}
	}
	for _, r := range rollbacks {
		for i := len(d.Sources) - 1; i >= 0; i-- { // the last told knows most
			if !strings.EqualFold(d.Sources[i].Name, r.source) {
				continue
			}
			if command := r.command(d.Sources[i], d); command != "" && len(command) <= commandLimit {
				return command
			}
		}
	}
	return rollbackInWords(d)
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
		if s.Range != "" && s.Commits > 0 && !isOption(s.Range) {
			return "git log -p " + shellQuote(s.Range) + "   # no single commit is certain"
		}
		return ""
	}
	c := s.Suspects[0].Change
	if c.Revision == "" || isOption(c.Revision) {
		return ""
	}
	merge := ""
	if len(c.Parents) > 1 {
		merge = "-m 1 " // a merge: keep the side of the branch that it landed on
	}
	return "git revert " + merge + shellQuote(c.Revision)
}

// shellQuote quotes a value for a POSIX shell unless it is plainly harmless:
// the commands are meant to be pasted, and names come from outside. Callers
// refuse what a command would read as an option (see isOption).
func shellQuote(value string) string {
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, ""))
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

// isOption tells a name that a command would take for an option: quoting does
// not help against a leading dash.
func isOption(name string) bool { return strings.HasPrefix(strings.TrimSpace(name), "-") }

func jsonText(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(OneLine(value, nameLimit))
}
