package argocd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
)

func TestGolden(t *testing.T) { cicdtest.Golden(t, Parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, Parse) }

func TestArgoCDWithoutAnImageTagIsNamedByItsRevision(t *testing.T) {
	for images, want := range map[string][2]string{
		`[]`:                              {"", "abc1234"},
		`["r.example:5000/a@sha256:00"]`:  {"", "abc1234"},
		`["a:1.0","sidecar:2.0"]`:         {"", "abc1234"},
		`["a:1.0","b:1.0","c@sha256:00"]`: {"1.0", ""},
		`["r.example:5000/a:latest"]`:     {"", "abc1234"},
	} {
		in, err := Parse(cicd.Delivery{Body: []byte(`{"metadata":{"name":"a"},"status":{"operationState":{"phase":"Succeeded","syncResult":{"revision":"abc1234"}},"summary":{"images":` + images + `}}}`), ReceivedAt: cicdtest.ReceivedAt})
		require.NoError(t, err)
		require.Equal(t, want, [2]string{in.Deployments[0].Version, in.Deployments[0].Revision}, images)
	}
}
