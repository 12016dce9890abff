package ledgerhost

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/ledger/ledgerhost/ledgerhosttest"
)

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func TestRecorder(t *testing.T) {
	id := component.MustNewID("ledger")
	known := ledgerhosttest.New()
	found, err := Recorder(known, id)
	require.NoError(t, err)
	assert.Equal(t, known.GetExtensions()[id], found)
	found, err = Recorder(known, component.MustNewIDWithName("ledger", "second"))
	require.NoError(t, err)
	assert.Nil(t, found)
	_, err = Recorder(host{id: struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}, id)
	require.ErrorContains(t, err, `"ledger" is no ledger`)
}
