package gitrange

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history is a repository that a test makes with the real git.
type history struct {
	t    testing.TB
	path string
	tick int
}

func newHistory(t testing.TB, arguments ...string) *history {
	t.Helper()
	h := &history{t: t, path: t.TempDir()}
	h.git(append([]string{"init", "--quiet", "--initial-branch=main"}, arguments...)...)
	return h
}

// git runs a command; each has a later date than the one before.
func (h *history) git(arguments ...string) string {
	h.t.Helper()
	return h.gitWith("", arguments...)
}

func (h *history) gitWith(stdin string, arguments ...string) string {
	h.t.Helper()
	h.tick++
	cmd := exec.Command("git", append([]string{"-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"}, arguments...)...)
	cmd.Dir = h.path
	at := "1700000000 +0100"
	if h.tick < 10000 {
		at = "17000" + string([]byte{byte('0' + h.tick/1000%10), byte('0' + h.tick/100%10), byte('0' + h.tick/10%10), byte('0' + h.tick%10)}) + "0 +0100"
	}
	cmd.Env = append(os.Environ(), "HOME="+h.path, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@shop.example", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@shop.example",
		"GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (h *history) write(name, content string) {
	h.t.Helper()
	file := filepath.Join(h.path, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// commit adds everything and gives the new commit's id.
func (h *history) commit(message string) string {
	h.t.Helper()
	h.git("add", "--all")
	h.gitWith(message, "commit", "--quiet", "--allow-empty", "--allow-empty-message", "--file=-")
	return h.git("rev-parse", "HEAD")
}

func (h *history) open() *Repository {
	h.t.Helper()
	r, err := Open(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// lines are n numbered lines, with those in changed replaced.
func lines(n int, changed map[int]string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if text, ok := changed[i]; ok {
			b.WriteString(text)
		} else {
			b.WriteString("line ")
			b.WriteString(strings.Repeat("x", i%7))
			b.WriteByte(byte('a' + i%26))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
