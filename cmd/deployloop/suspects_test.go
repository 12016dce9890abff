package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/gitrange"
)

func runSuspects(t *testing.T, stdin string, arguments ...string) (string, error) {
	t.Helper()
	c := newSuspectsCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetIn(strings.NewReader(stdin))
	c.SetArgs(arguments)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

const goTrace = `panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.Total(...)
	/build/shop/cart/total.go:9 +0x1d
main.main()
	/build/shop/main.go:12 +0x20
exit status 2
`

// shopRepository has a commit that broke cart/total.go and three that did not.
func shopRepository(t *testing.T) (path, culprit string) {
	path = t.TempDir()
	git := func(arguments ...string) string {
		cmd := exec.Command("git", arguments...)
		cmd.Dir = path
		cmd.Env = append(os.Environ(), "HOME="+path, "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=a@b.example", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=a@b.example")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	commit := func(file, content, message string) string {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(path, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(path, file), []byte(content), 0o644))
		git("add", ".")
		git("commit", "--quiet", "-m", message)
		return git("rev-parse", "HEAD")
	}
	total := "package main\n\n// Total adds the prices.\n\nfunc Total(prices []int) int {\n\tsum := 0\n\n\tfor i := 0; i < len(prices); i++ {\n\t\tsum += prices[i]\n\t}\n\treturn sum\n}\n"
	git("init", "--quiet", "--initial-branch=main")
	git("remote", "add", "origin", "git@github.example:acme/shop.git")
	commit("CODEOWNERS", "* @acme/shop\n/cart/ @acme/cart\n", "Own it")
	commit("cart/total.go", total, "Begin")
	git("tag", "v1")
	commit("README.md", "# Shop\n", "Write a README")
	culprit = commit("cart/total.go", strings.Replace(strings.Replace(total, "i := 0; i <", "i := 0; i <=", 1), "sum += prices[i]", "sum += prices[i] * 1", 1), "Count \x1b[31mevery price (#7)")
	commit("pay/pay.go", "package pay\n\nfunc Pay() {}\n", "Add payment")
	commit("cart/total_test.go", "package main\n", "Test the total")
	return path, culprit
}

func TestSuspectsOfARepository(t *testing.T) {
	path, culprit := shopRepository(t)
	out, err := runSuspects(t, goTrace, "--repo", path, "--range", "v1..main", "--symptom", "-", "--output", "json")
	require.NoError(t, err)
	var got suspectsOutput
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Len(t, got.Suspects, 4, "the ranking is whole")
	require.Equal(t, culprit, got.Suspects[0].SHA)
	require.False(t, got.Abstained)
	require.Equal(t, "cart/total.go", got.Suspects[0].File)
	require.Equal(t, 9, got.Suspects[0].Line)
	require.Contains(t, got.Suspects[0].Hunk, "+\t\tsum += prices[i] * 1")
	require.Contains(t, got.Suspects[0].Reasons[0], "line 9 of cart/total.go")
	require.Equal(t, []string{"@acme/cart"}, got.Suspects[0].Owners)
	require.Equal(t, "https://github.example/acme/shop/pull/7", got.Suspects[0].PullURL)
	sum := 0.0
	for _, s := range got.Suspects {
		sum += s.Probability
		require.NotNil(t, s.Reasons)
	}
	require.Less(t, sum, 1.0, "something else keeps a share")

	text, err := runSuspects(t, goTrace, "--repo", path, "--range", "v1..main", "--symptom", "-", "--top", "2")
	require.NoError(t, err)
	require.Contains(t, text, "Suspect: "+culprit[:7])
	require.Contains(t, text, "git revert "+culprit)
	require.Contains(t, text, "2 more")
	require.Contains(t, text, "owned by @acme/cart")
	require.NotContains(t, text, "\x1b", "neither colours in a pipe nor a commit's own")
}

func TestSuspectsAbstainsWithTheWholeRanking(t *testing.T) {
	path, _ := shopRepository(t)
	out, err := runSuspects(t, "disk is full on node-7", "--repo", path, "--range", "v1..main", "--symptom", "-", "--output", "json")
	require.NoError(t, err)
	var got suspectsOutput
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.True(t, got.Abstained)
	require.Len(t, got.Suspects, 4)
	text, err := runSuspects(t, "disk is full on node-7", "--repo", path, "--range", "v1..main", "--symptom", "-")
	require.NoError(t, err)
	require.Contains(t, text, "No commit is certain.")
	require.NotContains(t, text, "git revert")
}

const candidates = `{"stack_trace": "java.lang.NullPointerException\n\tat com.acme.Cart.total(Cart.java:12)\n", "failing_tests": "com.acme.CartTest#adds;com.acme.CartTest#subtracts",
 "culprit": 7, "anything": {"else": []},
 "candidates": [
  {"sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "subject": "Write docs", "files": [["README.md", "1", "0"]], "hunks": {"README.md": [[1,0,1,1]]}},
  {"sha": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "subject": "Total in one pass", "files": [["src/com/acme/Cart.java", "30", "22"], ["logo.png", "-", "-"]], "hunks": {"src/com/acme/Cart.java": [[10,22,10,30]]}}]}`

func TestSuspectsOfCandidates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "case.json")
	require.NoError(t, os.WriteFile(file, []byte(candidates), 0o600))
	fromFile, err := runSuspects(t, "", "--candidates", file, "--output", "json")
	require.NoError(t, err)
	fromInput, err := runSuspects(t, candidates, "--candidates", "-", "--output", "json")
	require.NoError(t, err)
	require.Equal(t, fromFile, fromInput)
	var got suspectsOutput
	require.NoError(t, json.Unmarshal([]byte(fromFile), &got))
	require.Equal(t, strings.Repeat("b", 40), got.Suspects[0].SHA)
	require.Greater(t, got.Suspects[0].Probability, .5)

	// The answer in a file changes nothing.
	told := strings.Replace(candidates, `"culprit": 7`, `"culprit": "`+strings.Repeat("a", 40)+`", "fix": "`+strings.Repeat("a", 40)+`"`, 1)
	again, err := runSuspects(t, told, "--candidates", "-", "--output", "json")
	require.NoError(t, err)
	require.Equal(t, fromFile, again)
}

func TestSuspectsRefusesWhatIsUnclear(t *testing.T) {
	path, _ := shopRepository(t)
	for want, arguments := range map[string][]string{
		"give --repo, --range and --symptom": {"--repo", path},
		"write it as A..B":                   {"--repo", path, "--range", "main", "--symptom", "-"},
		"as A..B (":                          {"--repo", path, "--range", "v1...main", "--symptom", "-"},
		"use text or json":                   {"--candidates", "-", "--output", "yaml"},
		"leave --repo and --range out":       {"--candidates", "-", "--repo", path},
		"not a git repository":               {"--repo", t.TempDir(), "--range", "a..b", "--symptom", "-"},
		"run git fetch":                      {"--repo", path, "--range", "v1..v9", "--symptom", "-"},
		"no such file":                       {"--candidates", filepath.Join(path, "nothing.json")},
		"above 0":                            {"--candidates", "-", "--threshold", "0"},
		"no JSON object":                     {"--candidates", "-"},
	} {
		_, err := runSuspects(t, "trace", arguments...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := runSuspects(t, " \n", "--repo", path, "--range", "v1..main", "--symptom", "-")
	require.ErrorContains(t, err, "empty")
}

func TestSuspectsRefusesAnUnknownRevision(t *testing.T) {
	path, _ := shopRepository(t)
	for _, revisions := range []string{"nope..main", "v1..nope", "0123456789abcdef0123456789abcdef01234567..main"} {
		out, err := runSuspects(t, goTrace, "--repo", path, "--range", revisions, "--symptom", "-")
		require.ErrorIs(t, err, gitrange.ErrUnknownRevision, revisions)
		require.ErrorContains(t, err, "git fetch")
		require.Empty(t, out, "another range's ranking")
	}
}
