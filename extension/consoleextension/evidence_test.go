package consoleextension

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/ledger"
)

func TestEvidenceOfADeployment(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	id := afternoon{noon}.play(t, l)
	h := handler(t, l)
	path := "/api/v1/deployments/" + id + "/evidence"
	require.Contains(t, decoded[apiProblem](t, h, path, http.StatusNotFound).Error, "no evidence")
	l.RecordEvidence(id, noon, []byte(`{"schema":"x","at":"2026-11-23T14:06:00Z"}`))
	require.Equal(t, map[string]string{"schema": "x", "at": "2026-11-23T14:06:00Z"}, decoded[map[string]string](t, h, path, http.StatusOK))
	require.Contains(t, decoded[apiProblem](t, h, "/api/v1/deployments/nobody/evidence", http.StatusNotFound).Error, "not known")
	require.Contains(t, decoded[apiProblem](t, h, path+"?what=else", http.StatusBadRequest).Error, "unknown parameter")
}
