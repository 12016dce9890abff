package report

import (
	"path"
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// checkouts are the folders into which CI systems check a repository out.
var checkouts = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`/github/workspace`, `/home/circleci/project`, `/root/project`, `/opt/atlassian/pipelines/agent/build`, `/drone/src`, `/woodpecker/src`,
	`/home/vsts/work/\d+/s`, `/Users/runner/work/\d+/s`, `[A-Za-z]:/a/\d+/s`, // Azure Pipelines
	`/.*[Jj]enkins[^/]*/(?:.*/)?workspace/[^/]+`, // a job's
}, "|") + `)/`)

// gitHubCheckout is a runner's folder of a repository, twice its name.
var gitHubCheckout = regexp.MustCompile(`^(?:.*/_?work|/__w|[A-Za-z]:/a)/([^/]+)/([^/]+)/`)

// windowsPath is one from a drive, as it stands or in a URI.
var windowsPath = regexp.MustCompile(`^/?[A-Za-z]:[\\/]`)

// absolute is a file's path with slashes, where it begins at a root.
func absolute(file string) (string, bool) {
	if windowsPath.MatchString(file) {
		return strings.TrimPrefix(strings.ReplaceAll(file, `\`, "/"), "/"), true
	}
	return file, strings.HasPrefix(file, "/")
}

// relative is a file's path from the folder of the sources, where it is below it: the
// same on every machine. Where that folder is not known, or is another machine's, it
// is told by what CI systems call it, and by the repository's name. A path that is
// relative stays as it is.
func (s Source) relative(file string) string {
	whole, ok := absolute(file)
	if !ok {
		return file
	}
	if below, ok := s.below(whole); ok {
		return below
	}
	if found := checkouts.FindString(whole); found != "" {
		return whole[len(found):]
	}
	if found := gitHubCheckout.FindStringSubmatch(whole); found != nil && found[1] == found[2] {
		return whole[len(found[0]):]
	}
	for _, name := range []string{s.Repository, path.Base(s.Repository)} {
		if name == "" || name == "." || name == "/" {
			break
		}
		if _, below, ok := strings.Cut(whole, "/"+name+"/"); ok && below != "" {
			return below
		}
	}
	return file
}

// Own says of a test's result whose it is, and where, from the folder of the sources.
func (s Source) Own(t *event.TestResult) {
	t.Repository, t.Revision, t.RunID, t.Ref, t.Base = s.Repository, s.Revision, s.RunID, s.Ref, s.Base
	if t.At.IsZero() {
		t.At = s.At
	}
	t.File, t.Suite = s.relative(t.File), s.local(t.Suite) // a linter's suites are files
	t.Message, t.Stacktrace = s.local(t.Message), s.local(t.Stacktrace)
}

// own says of a finding whose it is.
func (s Source) own(f *event.Finding) {
	f.Repository, f.Revision, f.RunID, f.At = s.Repository, s.Revision, s.RunID, s.At
	f.Ref, f.Base = s.Ref, s.Base
}

// below is a path from Root.
func (s Source) below(whole string) (string, bool) {
	root, _ := absolute(strings.TrimSuffix(s.Root, "/"))
	if root == "" { // of all that there is: it says nothing
		return "", false
	}
	below, ok := strings.CutPrefix(whole, root+"/")
	return below, ok && below != ""
}

// local is a text in which files below Root are named by their path from there.
func (s Source) local(text string) string {
	if text == "" || len(s.Root) < 2 || !strings.Contains(text, s.Root) {
		return text
	}
	root := strings.TrimSuffix(s.Root, "/") + "/"
	var out strings.Builder
	for {
		at := strings.Index(text, root)
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		if at > 0 && inPath(text[at-1]) { // of a longer path
			out.WriteString(root)
		}
		text = text[at+len(root):]
	}
}

func inPath(c byte) bool {
	return c == '/' || c == '\\' || c == '.' || c == '-' || c == '_' || c == ':' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
