package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asDeployloop has this test binary be deployloop, for what calls it by name.
const asDeployloop = "DEPLOYLOOP_TEST_IS_DEPLOYLOOP"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asDeployloop) == "":
	case len(os.Args) > 1 && os.Args[1] == countSignals:
		noteEachSignal()
		return
	default:
		main()
		return
	}
	os.Exit(m.Run())
}

// The example's hook, before real pushes.
func TestPrePushHookRefusesOnlyWhatIsNew(t *testing.T) {
	hook, err := filepath.Abs("../../examples/git-hooks/pre-push")
	require.NoError(t, err)
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total(a, b int) int { return a + b }\n", "cart/total_test.go": cartTest})
	bin := t.TempDir()
	script := "#!/bin/sh\n" + asDeployloop + "=1 exec '" + os.Args[0] + "' \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "deployloop"), []byte(script), 0o755)) //nolint:gosec // it is to be run
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	run := func(name string, arguments ...string) (string, error) {
		out, err := exec.Command(name, arguments...).CombinedOutput()
		return string(out), err
	}
	git := func(arguments ...string) (string, error) {
		return run("git", append([]string{"-c", "user.name=ada", "-c", "user.email=ada@example.com"}, arguments...)...)
	}
	remote := t.TempDir()
	for _, arguments := range [][]string{{"init", "-q", "--bare", remote}, {"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "Begin"}} {
		out, err := git(arguments...)
		require.NoError(t, err, out)
	}
	text, err := os.ReadFile(hook)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(".git/hooks/pre-push", text, 0o755)) //nolint:gosec // it is to be run

	change := func(body string) {
		require.NoError(t, os.WriteFile("cart/total.go", []byte("package cart\n\nfunc Total(a, b int) int { return "+body+" }\n"), 0o600))
		out, err := git("commit", "-q", "-a", "-m", body)
		require.NoError(t, err, out)
	}
	out, err := git("push", remote, "main")
	require.NoError(t, err, out)
	out, err = run("sh", "-c", "go test -json ./... | deployloop report --update --baseline .git/deployloop-baseline.json -")
	require.NoError(t, err, out)
	change("a - b")
	out, err = git("push", remote, "main")
	require.Error(t, err)
	require.Contains(t, out, "NEW FAILURE  acme/shop/cart TestTotal")
	require.Contains(t, out, "git push --no-verify")
	require.NotContains(t, out, "every failure counts as new")
	require.NoError(t, os.Rename(".git/deployloop-baseline.json", ".git/away"))
	out, err = git("push", remote, "main")
	require.Error(t, err)
	require.Contains(t, out, "every failure counts as new")
	require.NoError(t, os.Rename(".git/away", ".git/deployloop-baseline.json"))
	// It fails on main as well now: it is no news.
	_, _ = run("sh", "-c", "go test -json ./... | deployloop report --update --baseline .git/deployloop-baseline.json -")
	change("b - a")
	out, err = git("push", remote, "main")
	require.NoError(t, err, out)
	require.Contains(t, strings.ToUpper(out), "ALREADY FAILING")
}
