package consoleextension

import (
	"fmt"
	"net/http"

	"github.com/deployloop/deployloop/internal/ledger"
)

// GET /api/v1/deployments/{id}/evidence: what the verdict stands on, as
// docs/evidence.md describes it, by the deployment's id or alias.
func (s *site) apiEvidence(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.parameters(w, r); !ok {
		return
	}
	id := r.PathValue("id")
	d, ok := s.reader.Deployment(id)
	if !ok {
		s.unknownDeployment(w, r, id)
		return
	}
	keeper, ok := s.reader.(ledger.Documents)
	if !ok {
		s.apiError(w, r, http.StatusNotImplemented, "this ledger keeps no evidence", "point `ledger` at an extension of type ledger")
		return
	}
	document, ok := keeper.Evidence(d.ID)
	if !ok {
		s.apiError(w, r, http.StatusNotFound, fmt.Sprintf("there is no evidence on deployment %q", id),
			"it comes within seconds of the first telemetry, if an anomaly connector watches; old documents are forgotten first")
		return
	}
	s.write(w, r, http.StatusOK, "application/json; charset=utf-8", document)
}
