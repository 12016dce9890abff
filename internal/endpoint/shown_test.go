package endpoint

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShown(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:9093/am":                  "http://127.0.0.1:9093/am",
		"https://me:hunter2@a.example/x":            "https://a.example/x",
		"https://hunter2@a.example":                 "https://a.example",
		"https://a.example/?api_key=hunter2&x=1#y":  "https://a.example/?api_key=…&x=…",
		"https://a.example?hunter2":                 "https://a.example?…",
		"https://a.example?hunter2;=%zz":            "https://a.example?…",
		"hunter2@a.example:9090/x":                  "a.example:9090/x",
		"a.example:4317":                            "a.example:4317",
		"http://me:hunter2@a b?hunter2":             "http://a b",
		"http://me:hun%zzter2@a.example/?k=hunter2": "http://a.example/",
		"unix:///run/a.sock":                        "unix:///run/a.sock",
		"":                                          "",
	} {
		require.Equal(t, want, Shown(address), address)
	}
}

func TestShownLocation(t *testing.T) {
	for location, want := range map[string]string{
		"deployloop.yaml":                       "deployloop.yaml",
		"file:/etc/deployloop.yaml":             "file:/etc/deployloop.yaml",
		"default:":                              "default:",
		"yaml:exporters::forge::token: hunter2": "yaml:…",
		"env:DEPLOYLOOP":                        "env:DEPLOYLOOP",
		"env:DEPLOYLOOP:-{token: hunter2}":      "env:DEPLOYLOOP:-…",
		"https://hunter2@a.example/c?t=hunter2": "https://a.example/c?t=…",
	} {
		require.Equal(t, want, ShownLocation(location), location)
	}
}

// Errors quote addresses in more ways than one.
func TestHide(t *testing.T) {
	const address = "http://me:hunter2@127.0.0.1:1/x?api_key=hun%20ter3"
	_, err := http.Get(address)
	require.ErrorContains(t, err, "hun%20ter3", "or the test tests nothing")
	u, parseErr := url.Parse(address)
	require.NoError(t, parseErr)
	for _, text := range []string{err.Error(), fmt.Sprint("get ", address), fmt.Sprintf("%q: the key %s is wrong", address, u.Query().Get("api_key"))} {
		shown := Hide(text, address)
		for _, secret := range []string{"hunter2", "hun ter3", "hun%20ter3"} {
			require.NotContains(t, shown, secret)
		}
		require.Contains(t, shown+address, "127.0.0.1:1/x")
	}
	require.Equal(t, "get http://…127.0.0.1/", Hide("get http://hunter2@127.0.0.1/", "http://hunter2@127.0.0.1/x"))
	require.Equal(t, "cannot read yaml:…: line 1", Hide("cannot read yaml:token: hunter2: line 1", "yaml:token: hunter2"))
	require.Equal(t, "an error", Hide("an error", ""))
	require.Equal(t, "ab: no a", Hide("ab: no a", "http://a@b"))
}
