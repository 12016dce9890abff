package flux

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
)

func TestGolden(t *testing.T) { cicdtest.Golden(t, Parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, Parse) }

// Flux tells of each reconciliation: the id stays the same until something else
// is deployed, and a Helm rollback to an older chart is something else.
func TestFluxIDs(t *testing.T) {
	id := func(message, revision string) string {
		body, err := json.Marshal(map[string]any{
			"involvedObject": map[string]string{"kind": "HelmRelease", "namespace": "shop", "name": "checkout"},
			"severity":       "info", "reason": "UpgradeSucceeded", "message": message, "metadata": map[string]string{"revision": revision},
		})
		require.NoError(t, err)
		in, err := Parse(cicd.Delivery{Body: body, ReceivedAt: cicdtest.ReceivedAt})
		require.NoError(t, err)
		return in.Deployments[0].Aliases[0]
	}
	first := id("Helm upgrade succeeded for release shop/checkout.v3 with chart checkout@1.2.3", "1.2.3")
	require.Equal(t, first, id("Helm upgrade succeeded for release shop/checkout.v3 with chart checkout@1.2.3", "1.2.3"))
	require.NotEqual(t, first, id("Helm upgrade succeeded for release shop/checkout.v5 with chart checkout@1.2.3", "1.2.3"))
}
