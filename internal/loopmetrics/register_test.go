package loopmetrics

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/ledger"
)

func TestEveryFamilyIsRegistered(t *testing.T) {
	register, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	for _, f := range NewTracker(ledger.New(ledger.Limits{})).Collect(time.Now()) {
		assert.Contains(t, string(register), "`"+f.Name+"`", "add it to docs/metrics.md")
	}
}
