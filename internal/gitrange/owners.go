package gitrange

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hmarr/codeowners"

	"github.com/deployloop/deployloop/internal/suspect"
)

// Limits of a CODEOWNERS file.
const (
	maxOwnerRules = 5000
	maxOwners     = 8 // of one path
)

// ownerFiles are where the forges look, in their order: the first one found counts.
var ownerFiles = []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS", ".gitea/CODEOWNERS", ".forgejo/CODEOWNERS"}

// Owners says who owns which paths, as a CODEOWNERS file tells. The nil value
// knows no owner. Safe for concurrent use.
type Owners struct {
	sections []codeowners.Ruleset // GitLab's; one where there are none. In each the last rule that fits decides.
}

// Owners reads the repository's CODEOWNERS file as it is at a revision; nil
// when it has none.
func (r *Repository) Owners(ctx context.Context, revision string) *Owners {
	if !ValidRevision(revision) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, name := range ownerFiles {
		if text, err := r.output(ctx, nil, "cat-file", "blob", revision+":"+name); err == nil {
			return ParseOwners(string(text))
		}
	}
	return nil
}

// ParseOwners reads a CODEOWNERS file as GitHub, GitLab (with sections and
// their default owners) and Gitea write it. A line that is no rule costs only
// itself, as on the forges.
func ParseOwners(text string) *Owners {
	o := &Owners{sections: []codeowners.Ruleset{nil}}
	rules, defaults := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if owners, ok := section(line); ok {
			o.sections, defaults = append(o.sections, nil), owners
			continue
		}
		rule, err := parseRule(line)
		if err != nil || len(rule) == 0 || rule[0].RawPattern() == "/" { // "/" matches nothing, and the library panics on it
			continue
		}
		if len(rule[0].Owners) == 0 && defaults != "" {
			if with, err := parseRule(line + " " + defaults); err == nil && len(with) == 1 {
				rule = with
			}
		}
		if rules++; rules > maxOwnerRules {
			break
		}
		last := len(o.sections) - 1
		o.sections[last] = append(o.sections[last], rule...)
	}
	return o
}

// parseRule reads one line. The library's own patterns of owners refuse long
// top-level domains and GitLab's roles ("@@maintainer"), and a rule with them.
func parseRule(line string) (codeowners.Ruleset, error) {
	return codeowners.ParseFile(strings.NewReader(line), codeowners.WithOwnerMatchers([]codeowners.OwnerMatcher{
		codeowners.OwnerMatchFunc(func(s string) (codeowners.Owner, error) {
			if at := strings.IndexByte(s, '@'); at < 0 || at == len(s)-1 {
				return codeowners.Owner{}, codeowners.ErrNoMatch
			}
			return codeowners.Owner{Value: s, Type: codeowners.EmailOwner}, nil // a type whose text is the value
		}),
	}))
}

// section reads "[Name]", "^[Name]" and "[Name][2]" with the default owners
// behind it, as GitLab documents them.
func section(line string) (owners string, ok bool) {
	line = strings.TrimPrefix(line, "^")
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	end := strings.IndexByte(line, ']')
	if end < 0 {
		return "", false
	}
	rest := line[end+1:]
	if strings.HasPrefix(rest, "[") {
		if end = strings.IndexByte(rest, ']'); end >= 0 {
			rest = rest[end+1:]
		}
	}
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", false // a glob that begins with a class of characters
	}
	return strings.TrimSpace(rest), true
}

// Of are the owners of a path: "@team", "@org/team", "mail@example.org"; none
// when nobody is named.
func (o *Owners) Of(path string) []string {
	if o == nil || path == "" {
		return nil
	}
	var owners []string
	for _, rules := range o.sections {
		rule, err := rules.Match(path)
		if err != nil || rule == nil {
			continue
		}
		for _, owner := range rule.Owners {
			if name := owner.String(); len(owners) < maxOwners && !slices.Contains(owners, name) {
				owners = append(owners, name)
			}
		}
	}
	return owners
}

// OwnedBy says whether one of owners, without regard to case, owns the path.
func (o *Owners) OwnedBy(path string, owners []string) bool {
	return slices.ContainsFunc(o.Of(path), func(name string) bool {
		return slices.ContainsFunc(owners, func(wanted string) bool { return strings.EqualFold(name, wanted) })
	})
}

// ownedBy keeps the commits that change a file that one of names owns.
func ownedBy(commits []suspect.Commit, o *Owners, names []string) []suspect.Commit {
	var kept []suspect.Commit
	owned := map[string]bool{} // rules are many, and the same files change again
	for _, c := range commits {
		if slices.ContainsFunc(c.Files, func(f suspect.FileDiff) bool {
			is, known := owned[f.Path]
			if !known {
				is = o.OwnedBy(f.Path, names)
				owned[f.Path] = is
			}
			return is
		}) {
			kept = append(kept, c)
		}
	}
	return kept
}
