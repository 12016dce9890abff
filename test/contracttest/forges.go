package contracttest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/giteatest"
	"github.com/deployloop/deployloop/test/servertest"
)

var (
	mu     sync.Mutex
	loaded = map[string]*Contract{}
)

// of reads a contract once: GitHub's takes a second.
func of(t testing.TB, name string, read func() (*Contract, error)) *Contract {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if loaded[name] == nil {
		c, err := read()
		require.NoError(t, err)
		loaded[name] = c
	}
	return loaded[name]
}

// For is the contract of a kind of forge.
func For(t testing.TB, kind string) *Contract {
	t.Helper()
	c := map[string]func(testing.TB) *Contract{"github": GitHub, "gitea": Gitea, "gitlab": GitLab}[kind]
	require.NotNil(t, c, "no contract of %q", kind)
	return c(t)
}

// gitHubPaths are the paths in use, of 811: with the rest GitHub's contract takes
// many seconds to read.
var gitHubPaths = []string{
	"/app", "/app/installations/{installation_id}/access_tokens", "/user",
	"/repos/{owner}/{repo}/collaborators/{username}/permission",
	"/repos/{owner}/{repo}/commits", "/repos/{owner}/{repo}/commits/{ref}",
	"/repos/{owner}/{repo}/commits/{ref}/statuses", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
	"/repos/{owner}/{repo}/compare/{basehead}", "/repos/{owner}/{repo}/contents/{path}",
	"/repos/{owner}/{repo}/issues/comments/{comment_id}", "/repos/{owner}/{repo}/issues/{issue_number}/comments",
	"/repos/{owner}/{repo}/pulls", "/repos/{owner}/{repo}/pulls/{pull_number}/files",
	"/repos/{owner}/{repo}/statuses/{sha}",
}

// GitHub is the contract that GitHub publishes and makes its own clients from.
func GitHub(t testing.TB) *Contract {
	t.Helper()
	return of(t, "GitHub", func() (*Contract, error) {
		text, err := os.ReadFile(filepath.Join(servertest.Root(t), ".tools", "contracts", "github.json"))
		if err != nil {
			return nil, fmt.Errorf("%w: run scripts/install-tools.sh", err)
		}
		text, err = cut(text, gitHubPaths)
		if err != nil {
			return nil, err
		}
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			return nil, err
		}
		return newContract("GitHub", "", doc), nil
	})
}

var reference = regexp.MustCompile(`"\$ref":\s*"#/components/([^/"]+)/([^/"]+)"`)

// cut keeps some paths of a contract, and of its components what they lead to.
func cut(text []byte, paths []string) ([]byte, error) {
	type part = map[string]json.RawMessage
	var whole, kept struct {
		OpenAPI    string          `json:"openapi"`
		Info       json.RawMessage `json:"info"`
		Paths      part            `json:"paths"`
		Components map[string]part `json:"components"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	kept.OpenAPI, kept.Info, kept.Paths, kept.Components = whole.OpenAPI, whole.Info, part{}, map[string]part{}
	var follow func(text []byte)
	follow = func(text []byte) {
		for _, m := range reference.FindAllSubmatch(text, -1) {
			kind, name := string(m[1]), string(m[2])
			if _, known := kept.Components[kind][name]; known {
				continue
			}
			if kept.Components[kind] == nil {
				kept.Components[kind] = part{}
			}
			kept.Components[kind][name] = whole.Components[kind][name]
			follow(whole.Components[kind][name])
		}
	}
	for _, path := range paths {
		item, ok := whole.Paths[path]
		if !ok {
			return nil, fmt.Errorf("the contract has no path %s", path)
		}
		kept.Paths[path] = item
		follow(item)
	}
	return json.Marshal(kept)
}

// Gitea is the contract that Gitea serves, from the sources that it runs on.
func Gitea(t testing.TB) *Contract {
	t.Helper()
	return of(t, "Gitea", func() (*Contract, error) {
		text, err := os.ReadFile(filepath.Join(giteatest.Sources(t), "templates", "swagger", "v1_json.tmpl"))
		if err != nil {
			return nil, err
		}
		filled := strings.NewReplacer("{{.SwaggerAppVer}}", "test", "{{.SwaggerAppSubUrl}}", "").Replace(string(text))
		var doc openapi2.T
		if err := json.Unmarshal([]byte(filled), &doc); err != nil {
			return nil, err
		}
		converted, err := openapi2conv.ToV3(&doc)
		if err != nil {
			return nil, err
		}
		c := newContract("Gitea", doc.BasePath, converted)
		c.lenientNulls = true
		c.ignored = []string{"page", "limit"} // Gitea's own client asks for pages of every list, and of comments there are none
		return c, nil
	})
}

//go:embed gitlab.yaml
var gitLab []byte

// GitLab is our own contract of the operations in use: see gitlab.yaml.
func GitLab(t testing.TB) *Contract {
	t.Helper()
	return of(t, "GitLab", func() (*Contract, error) {
		doc, err := openapi3.NewLoader().LoadFromData(gitLab)
		if err != nil {
			return nil, err
		}
		return newContract("GitLab", "/api/v4", doc), nil
	})
}
