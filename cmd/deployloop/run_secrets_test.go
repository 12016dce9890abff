package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a command prints passes as it is; what is said of it tells no secret.
func TestRunTellsNoSecret(t *testing.T) {
	const shaped, valued = "ghp_SECRETsecret0123456789", "correct+horse <battery>"
	t.Setenv("ACME_DEPLOY_TOKEN", valued)
	t.Setenv("ACME_KEY", "true")
	var mu sync.Mutex
	var sent strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		sent.Write(body)
		sent.WriteString(req.URL.String())
		_, _ = io.WriteString(w, `{"reports":1}`)
	}))
	defer server.Close()
	const events = `printf '%s\n' '{"Action":"output","Package":"acme/cart","Test":"TestA","Output":"    a_test.go:3: sent '"$ACME_DEPLOY_TOKEN"' with '` + shaped + `'\n"}' '{"Action":"fail","Package":"acme/cart","Test":"TestA"}'; `
	for name, c := range map[string]struct{ script, told string }{
		"the cause":     {`echo "fatal: unable to access https://x-access-token:` + shaped + `@github.com/acme/shop: '$ACME_DEPLOY_TOKEN' is not true"; exit 1`, "unable to access https://…@github.com/acme/shop: '…' is not true"},
		"a test":        {events + "exit 1", "TestA"},
		"a place":       {`echo "main.c:3:1: error: $ACME_DEPLOY_TOKEN in token=` + shaped + `" >&2; exit 1`, "main.c:3"},
		"a report file": {`printf '<testsuite name="s"><testcase name="pays"><failure message="no">correct+horse &lt;battery&gt; ` + shaped + `</failure></testcase></testsuite>' > TEST-a.xml; cat TEST-a.xml; exit 1`, "pays"},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, map[string]string{})
			sent.Reset()
			t.Setenv("GITHUB_ACTIONS", "true") // annotations too
			out, notes, code := runStep(t, "--endpoint", server.URL, "--revision", "9f2c1ab", "--report", "TEST-*.xml", "--code-quality", "quality.json", "--", "sh", "-c", c.script)
			require.Equal(t, 1, code)
			require.Contains(t, out+notes, shaped, "the command's own output")
			require.Contains(t, out, c.told)
			quality, err := os.ReadFile("quality.json")
			require.NoError(t, err)
			// What is ours begins after the command's last line.
			_, digest, _ := strings.Cut(out, "::error")
			mu.Lock()
			defer mu.Unlock()
			require.Contains(t, sent.String(), "finished")
			for what, text := range map[string]string{"sent": sent.String(), "told": digest, "for GitLab": string(quality)} {
				if what != "sent" || name != "a report file" { // whose form the receiver reads
					require.NotContains(t, text, shaped, what)
				}
				for _, form := range []string{valued, "correct+horse"} {
					require.NotContains(t, text, form, what)
				}
			}
			require.NotEmpty(t, digest)
		})
	}
}
