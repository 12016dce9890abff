package setup

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each source has whole settings, and its URL is one that the receiver serves.
func TestWebhookSettings(t *testing.T) {
	readme, err := os.ReadFile("../../receiver/cicdreceiver/README.md")
	require.NoError(t, err)
	list := Webhooks(Answers{Webhooks: Sources, PublicURL: "https://deploys.example/in/", CICD: "127.0.0.1:8088"})
	require.Len(t, list, len(Sources))
	for _, w := range list {
		require.NotEmpty(t, w.Title, w.Source)
		require.NotEmpty(t, w.Where, w.Source)
		require.NotEmpty(t, w.Field, w.Source)
		require.NotEmpty(t, w.Events, w.Source)
		path, below := strings.CutPrefix(w.URL, "https://deploys.example/in/")
		require.True(t, below, w.URL)
		require.Contains(t, string(readme), "POST /"+path+"`")
		require.NotRegexp(t, regexp.MustCompile(`\bURL\b|[^_]\bSECRET\b`), w.Snippet)
	}
}

// What a file of secrets says already is kept to the letter.
func TestEnvironmentFile(t *testing.T) {
	variables := Variables(Answers{Webhooks: []string{"github", "jenkins"}, Grafana: "http://g", CICD: "127.0.0.1:8088"})
	former := "# mine\nexport GITHUB_WEBHOOK_SECRET='old'"
	text, values := EnvironmentFile(variables, former)
	require.True(t, strings.HasPrefix(text, former+"\n"), text)
	require.Equal(t, "old", values["GITHUB_WEBHOOK_SECRET"])
	require.Equal(t, "", values["GRAFANA_TOKEN"])
	require.Len(t, values["JENKINS_WEBHOOK_SECRET"], 26)
	again, _ := EnvironmentFile(variables, text)
	require.Equal(t, text, again)
	_, others := EnvironmentFile(variables, "")
	require.NotEqual(t, others["JENKINS_WEBHOOK_SECRET"], values["JENKINS_WEBHOOK_SECRET"])
}
