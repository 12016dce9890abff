package forgeexporter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
)

func TestOutsideTextIsOnlyText(t *testing.T) {
	for in, want := range map[string]string{
		"<img src=x onerror=1>":    "&lt;img src=x onerror=1&gt;",
		"ping @ada":                "ping \\@\u200bada",
		"fixes #12":                "fixes \\#\u200b12",
		"GH-12":                    "GH-\u200b12",
		"![x](http://e.example)":   "\\!\u200b\\[x\\]\\(http\\:\u200b//e.example\\)",
		"www.example.com":          "www.\u200bexample.com",
		"a | b `c` *d* _e_ ~f~":    "a \\| b \\`c\\` \\*d\\* \\_e\\_ \\~\u200bf\\~",
		"&commat;ada":              "&amp;\u200bcommat;ada",
		"one\n\n# two\n/close\x00": "one \\# two /close",
	} {
		assert.Equal(t, want, markdown(in), "%q", in)
	}
	assert.Equal(t, "``a`b``", code("a`b"))
	assert.Equal(t, "`` `a` ``", code("`a`"))
	assert.Empty(t, code("\n"))
}

func TestHostileNamesStayInTheirPlace(t *testing.T) {
	v := verdict(event.Regressed)
	v.Deployment.Service = "--><script>alert(1)</script> @everyone"
	v.Deployment.Version = "1 | <b>@ops</b>"
	v.Suspicion.Suspects[0].Change.Message = "![beacon](https://evil.example/p.png) @admin <!-- deployloop:verdict:production/other -->"
	v.Evidence[0].Operation = "GET /x|y\n\n<script>"
	body := commentOf(told{verdict: v}, &Config{ConsoleURL: "http://127.0.0.1:8090"}, true)
	lines := strings.Split(body, "\n")
	assert.Equal(t, "<!-- deployloop:verdict:production/--%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E+%40everyone -->", lines[0])
	rest := strings.Join(lines[2:], "\n")
	rest = strings.ReplaceAll(rest, "(<http://127.0.0.1:8090/deployments/d1>)", "")
	assert.NotRegexp(t, `<[a-zA-Z!/]`, rest, "no HTML")
	assert.NotRegexp(t, `@[a-zA-Z]`, rest, "no mention")
	assert.NotRegexp(t, `[^\\]\]\(`, rest, "no link or image but ours")
	assert.NotContains(t, rest, "://")
	for _, line := range lines {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, 6, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), "five columns: %s", line)
		}
	}
	assert.True(t, strings.HasPrefix(lines[1], "<!-- deployloop:state:d1:"))
	said, ok := readImprint(body)
	assert.True(t, ok)
	assert.Equal(t, imprintOf(told{verdict: v}), said)
}

// Words are no code: names in them are escaped, and nobody pastes them.
func TestAFixInWordsIsNoCode(t *testing.T) {
	v := verdict(event.Regressed)
	v.Deployment.RollbackCommand = ""
	v.Deployment.Sources = []event.Source{{Name: event.SourceSpinnaker, Object: "shop/Deploy <b>"}}
	body := commentOf(told{verdict: v}, &Config{}, false)
	assert.Contains(t, body, "- In Spinnaker\\: start Deploy &lt;b&gt; of shop again")
	v.Deployment.RollbackCommand = "make back"
	assert.Contains(t, commentOf(told{verdict: v}, &Config{}, false), "- `make back`")
}

func TestRepositoryPath(t *testing.T) {
	for in, want := range map[string]string{
		"acme/shop": "acme/shop", "https://github.com/acme/shop.git": "acme/shop", "git@github.com:acme/shop.git": "acme/shop",
		"ssh://git@github.com/acme/shop": "acme/shop", "https://evil.example/acme/shop": "", "git@evil.example:acme/shop.git": "",
		"acme/../admin": "", "/srv/clones/shop": "", "shop": "", "": "", "acme/sh op": "", "acme/shop?x=1": "",
	} {
		assert.Equal(t, want, forgeapi.RepositoryPath(in, "github.com"), "%q", in)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	assert.NoError(t, cfg.Validate(), "the defaults are github.com")
	cfg.Forge, cfg.InconclusiveState, cfg.RequestsPerSecond, cfg.MaxPending = "sourcehut", "success", 0, 0
	cfg.ConsoleURL, cfg.Statuses, cfg.Comments, cfg.RetryInterval = "console", false, false, 0
	cfg.Repositories = []Repository{{Service: "a", Repository: "a/b"}, {Service: "a", Repository: "shop"}}
	err := cfg.Validate()
	for _, part := range []string{"forge:", "endpoint:", "inconclusive_state:", "requests_per_second:", "max_pending:", "console_url:", "statuses and comments", "retry_interval", "repositories[1]: needs", "stands there twice"} {
		assert.ErrorContains(t, err, part)
	}
}

// What a developer reads on the pull request that made production worse, whole.
func TestTheCommentOfAVerdict(t *testing.T) {
	v := verdict(event.Regressed)
	s := &v.Suspicion.Suspects[0]
	s.PointedBy, s.Line, s.Owners = "total (cart/total.ts:88)", 88, []string{"@acme/cart"}
	v.Affected = []event.Affected{{Service: "web", Calls: "checkout", Requests: 2900, Failed: 348, Share: .12, Before: .001}}
	s.File, s.Hunk = "cart/total.ts", "@@ -86,3 +86,3 @@ total()\n-  return sum(lines)\n+  return sum(lines).total"
	v.Builds = []event.Judgement{{Call: event.KnownFlaky, NewFlake: true, FirstBad: culprit, Test: &event.TestResult{Suite: "acme/cart", Case: "TestTotal", File: "cart/total_test.ts", Line: 14}}}
	asWritten(t, "verdict.md", commentOf(told{verdict: v}, &Config{ConsoleURL: "https://loop.example", Waivers: true, Comments: true}, true))
}
