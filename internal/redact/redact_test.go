package redact

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"fatal: unable to access https://x-access-token:ghp_abcdefghijkl0123@github.com/acme/shop":  "fatal: unable to access https://…@github.com/acme/shop",
		"postgres://shop:p@ss@db:5432/shop?sslmode=off":                                             "postgres://…@db:5432/shop?sslmode=off",
		"> Authorization: Bearer abcdef123456":                                                      "> Authorization: …",
		`curl -H "Authorization: token abc" https://api.acme.example`:                               `curl -H "Authorization: …" https://api.acme.example`,
		"sent bearer abc.DEF-123":                                                                   "sent bearer …",
		"pushed with gho_0123456789abcdef0123":                                                      "pushed with …",
		"key AKIAIOSFODNN7EXAMPLE is off":                                                           "key … is off",
		"jwt eyJhbGciOiJI.eyJzdWIiOiIx.sig-nature":                                                  "jwt …",
		"glpat-abcdefgh12345 xoxb-1234-abcdef github_pat_11ABC_def":                                 "… … …",
		"login --password hunter2 --user ada":                                                       "login --password … --user ada",
		`{"api_key": "abc", "user": "ada"}`:                                                         `{"api_key": …, "user": "ada"}`,
		"AWS_SECRET_ACCESS_KEY=abc/def region=eu":                                                   "AWS_SECRET_ACCESS_KEY=… region=eu",
		"dial server=db;uid=sa;pwd=hunter;":                                                         "dial server=db;uid=sa;pwd=…;",
		"before\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\nafter": "before\n…\n…\n…\n…\nafter",
		strings.Repeat("aB3/", 16):                                                                  "…",
		"password: s3cret!":                                                                         "password: …",

		// What only looks like one.
		"error: invalid token: expected a name":           "",
		"SyntaxError: Unexpected token: '}'":              "",
		"the server wants basic authentication":           "",
		"if token == want":                                "",
		"sha256:" + strings.Repeat("a1", 32):              "",
		strings.Repeat("a1", 32):                          "",
		"uses: https://forge.example/actions/checkout@v4": "",
		"cart_test.go:14: want 3, got 4":                  "",
		"No such key: total":                              "",
	} {
		if want == "" {
			want = text
		}
		assert.Equal(t, want, Text(text))
		assert.Equal(t, want, Text(want), "nothing is hidden twice")
	}
}

// planted draws a secret in one of the forms in which builds print them.
func planted(t *rapid.T) (secret, text string) {
	secret = rapid.StringMatching(`[a-z]{3}[0-9][A-Z][A-Za-z0-9]{15,40}`).Draw(t, "secret")
	form := rapid.SampledFrom([]string{
		"https://user:%@host/path", "https://%@host", "Authorization: Bearer %", "authorization=Basic %", "bearer %", "Basic %==", "ghp_%", "gho_%", "ghs_%", "github_pat_%",
		"glpat-%", "xoxb-%", "xoxp-%", "eyJ%.%.%", "password=%", "db_password: %", `"token":"%"`, "secret='%'", "API_KEY=%", "--auth-token %", "client_secret := \"%\"",
		"-----BEGIN PRIVATE KEY-----\n%\n-----END PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----\r\nab\r\n%\r\n",
	}).Draw(t, "form")
	return secret, strings.ReplaceAll(form, "%", secret)
}

func TestNoPlantedSecretIsLeft(t *testing.T) {
	around := rapid.SampledFrom([]string{"", " ", "\n", "\t", "error: ", "(", "> ", "|", " at line 3\n", "é", "\"", "token ", "\xff"})
	rapid.Check(t, func(t *rapid.T) {
		secret, text := planted(t)
		whole := around.Draw(t, "before") + text + rapid.SampledFrom([]string{"", "\n", " and more", "\r\n", "\nnext"}).Draw(t, "after")
		assert.NotContains(t, Text(whole), secret, whole)
	})
}

func TestValuesOfTheEnvironment(t *testing.T) {
	v := Environment([]string{
		"DEPLOY_TOKEN=correct horse", "MY_PASSWORD=a\"b<c&d", "SSH_KEY=-----BEGIN-----\nline one of it\n-----END-----", "LONG_SECRET=correct horse battery",
		"HOME=/root/someone", "A_TOKEN=true", "B_KEY=default", "C_SECRET=", "NAMELESS",
	})
	for text, want := range map[string]string{
		"with correct horse battery":        "with …",
		"with correct horse, and more":      "with …, and more",
		"url=correct+horse correct%20horse": "url=… …",
		`"a\"b<c&d" a\"b\u003cc\u0026d`:     `"…" …`,
		"a&#34;b&lt;c&amp;d":                "…",
		"line one of it":                    "…",
		"/root/someone: true default":       "/root/someone: true default",
	} {
		assert.Equal(t, want, v.Text(text))
	}
	assert.Equal(t, "as it is", (*Values)(nil).Hide("as it is"))
}

// However the text comes, and however values overlap, none is in what is read.
func TestReaderHidesValuesAcrossReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab]{6,12}`), 1, 4).Draw(t, "secrets")
		var environ []string
		for _, s := range secrets {
			environ = append(environ, "A_KEY="+s)
		}
		text := strings.Join(rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(secrets), rapid.StringMatching(`[abc\n]{0,9}`))).Draw(t, "text"), "")
		got, err := io.ReadAll(iotest.OneByteReader(Environment(environ).Reader(iotest.OneByteReader(strings.NewReader(text)))))
		require.NoError(t, err)
		require.Len(t, got, len(text))
		for _, s := range secrets {
			require.NotContains(t, string(got), s)
		}
		for i := range got {
			require.True(t, got[i] == text[i] || got[i] == '*')
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("token=abc", "://a@b")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "ghp_Zq7Zq7Zq7Zq7Zq7Zq7"
		if strings.Contains(Text(before+secret+"\n"+after), secret) {
			t.Fatal("a token is left")
		}
	})
}
