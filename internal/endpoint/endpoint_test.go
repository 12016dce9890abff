package endpoint

import (
	"errors"
	"io"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	const variable, fallback = "DEPLOYLOOP_ENDPOINT_TEST_URL", "http://127.0.0.1:8090"
	for _, c := range []struct{ given, variable, want string }{
		{"", "", fallback},
		{"", "deploys.example:8090", "http://deploys.example:8090"},
		{"https://me:pw@a.example/loop", "deploys.example:8090", "https://me:pw@a.example/loop"},
	} {
		t.Setenv(variable, c.variable)
		base, err := Find(c.given, variable, fallback)
		require.NoError(t, err)
		require.Equal(t, c.want, base.String())
	}
	for _, wrong := range []string{"ftp://a.example", "http://", "://", "a b:80", "unix:///run/a.sock", "http://me:secret@a b"} {
		_, err := Find(wrong, variable, fallback)
		require.ErrorContains(t, err, "--endpoint or "+variable, wrong)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestCauseHidesTheURL(t *testing.T) {
	err := error(&url.Error{Op: "Get", URL: "http://me:pw@a.example", Err: io.ErrUnexpectedEOF})
	require.Equal(t, io.ErrUnexpectedEOF, Cause(err))
	other := errors.New("other")
	require.Equal(t, other, Cause(other))
}
