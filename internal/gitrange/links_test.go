package gitrange

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestLinksOfARemote(t *testing.T) {
	for remote, want := range map[string][2]string{ // base, page of pull request 7
		"https://ada:secret@github.example/acme/shop.git":   {"https://github.example/acme/shop", "https://github.example/acme/shop/pull/7"},
		"git@gitlab.example.com:acme/web/shop.git":          {"https://gitlab.example.com/acme/web/shop", "https://gitlab.example.com/acme/web/shop/-/merge_requests/7"},
		"ssh://git@gitea.example:2222/acme/shop":            {"https://gitea.example/acme/shop", "https://gitea.example/acme/shop/pulls/7"},
		"git@bitbucket.example:acme/shop.git":               {"https://bitbucket.example/acme/shop", "https://bitbucket.example/acme/shop/pull-requests/7"},
		"http://127.0.0.1:3000/acme/shop.git":               {"http://127.0.0.1:3000/acme/shop", ""},
		"/srv/git/shop.git":                                 {"", ""},
		"file:///srv/git/shop.git":                          {"", ""},
		"javascript://github.example/%0aalert(1)//acme.git": {"", ""},
		"": {"", ""},
	} {
		t.Run(remote, func(t *testing.T) {
			l := linksOf(remote)
			require.Equal(t, want[0], l.base)
			c := event.Change{Revision: "abc", Message: "Round totals (#7)\n\nmore"}
			l.add(&c)
			require.Equal(t, want[1], c.PullURL)
			require.Equal(t, want[0] != "", c.URL != "")
		})
	}
}

func TestThePullRequestOfAMessage(t *testing.T) {
	for message, want := range map[string]string{
		"Merge pull request #12 from ada/round\n\nRound totals":                 "12",
		"Merge pull request 'Round totals (#9)' (#13) from ada/round into main": "13",
		"Round totals (#14)": "14",
		"Merge branch 'round' into 'main'\n\nRound totals\n\nSee merge request acme/shop!15": "15",
		"Round totals, see #16": "",
		"Fix (#17) again":       "",
	} {
		c := event.Change{Revision: "abc", Message: message}
		linksOf("https://github.example/acme/shop").add(&c)
		if want != "" {
			want = "https://github.example/acme/shop/pull/" + want
		}
		require.Equal(t, want, c.PullURL, message)
	}
}

func TestACloneTellsThePagesOfItsCommits(t *testing.T) {
	h := newHistory(t)
	h.git("remote", "add", "origin", "git@github.example:acme/shop.git")
	h.write("a", "1\n")
	old := h.commit("one")
	h.write("a", "2\n")
	id := h.commit("Round totals (#7)")
	got := mustRange(t, h.open(), old, id, Options{})
	require.Equal(t, "https://github.example/acme/shop/commit/"+id, got.Commits[0].URL)
	require.Equal(t, "https://github.example/acme/shop/pull/7", got.Commits[0].PullURL)
}
