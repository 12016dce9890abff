// Package giteatest runs a real Gitea for a test: SQLite and repositories in a
// temporary folder, a free port, and a runner for its Actions.
package giteatest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/servertest"
)

// Server is a running Gitea. It ends with the test.
type Server struct {
	URL string

	t       testing.TB
	program string
	config  string
	dir     string
}

// Account is a user of a Server, with a token for everything.
type Account struct {
	*gitea.Client
	Name, Token string
}

// Start runs Gitea and waits until it answers.
func Start(t testing.TB) *Server {
	t.Helper()
	address := servertest.FreeAddress(t)
	s := &Server{
		URL: "http://" + address, t: t, dir: t.TempDir(),
		program: servertest.Tool(t, "gitea"),
	}
	s.config = filepath.Join(s.dir, "app.ini")
	_, port, _ := strings.Cut(address, ":")
	require.NoError(t, os.WriteFile(s.config, fmt.Appendf(nil, `
RUN_MODE = prod
; Tests run as whoever builds, in containers that is root.
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = %[1]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]s
ROOT_URL = http://127.0.0.1:%[2]s/
STATIC_ROOT_PATH = %[3]s
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = true
[cron]
ENABLED = false
[log]
LEVEL = Warn
`, s.dir, port, Sources(t)), 0o600))

	s.run("migrate")
	servertest.Run(t, "Gitea", func() *exec.Cmd { return s.command("web") }, func() bool { return servertest.Answers(s.URL + "/api/healthz") })
	return s
}

// Sources is the folder of Gitea's sources, whose templates and texts it reads.
func Sources(t testing.TB) string {
	t.Helper()
	list := exec.Command("go", "-C", filepath.Join(servertest.Root(t), "internal", "tools", "gitea"), "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea")
	dir, err := list.Output()
	require.NoError(t, err)
	path := strings.TrimSpace(string(dir))
	require.DirExists(t, path, "Gitea's sources are not there: run scripts/install-tools.sh gitea")
	return path
}

func (s *Server) command(arguments ...string) *exec.Cmd {
	c := exec.Command(s.program, append([]string{"--config", s.config, "--work-path", s.dir}, arguments...)...)
	// Its hooks and git must not find the settings of who runs the test.
	c.Env = append(os.Environ(), "HOME="+s.dir, "GIT_CONFIG_NOSYSTEM=1")
	return c
}

// run does one command of Gitea's own and gives the last line that it printed.
func (s *Server) run(arguments ...string) string {
	s.t.Helper()
	out, err := s.command(arguments...).CombinedOutput()
	require.NoError(s.t, err, string(out))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// User makes an account; an admin one may do everything.
func (s *Server) User(name string, admin bool) Account {
	s.t.Helper()
	arguments := []string{
		"admin", "user", "create", "--username", name, "--email", name + "@example.com", "--random-password",
		"--must-change-password=false", "--access-token", "--access-token-name", "test", "--access-token-scopes", "all",
	}
	if admin {
		arguments = append(arguments, "--admin")
	}
	said := s.run(arguments...)
	words := strings.Fields(said)
	token := words[len(words)-1]
	require.Len(s.t, token, 40, said)
	client, err := gitea.NewClient(s.URL, gitea.SetToken(token), gitea.SetGiteaVersion(""))
	require.NoError(s.t, err)
	return Account{Client: client, Name: name, Token: token}
}

// Token makes another token of an account, with these scopes alone.
func (s *Server) Token(account Account, scopes string) string {
	s.t.Helper()
	words := strings.Fields(s.run("admin", "user", "generate-access-token", "--username", account.Name, "--token-name", scopes, "--scopes", scopes, "--raw"))
	return words[len(words)-1]
}
