package anomalyconnector

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/ledger"
)

// minDocumentAge is how old the kept document of an open watch may grow at
// least; beyond, it may be a tenth as old as the watch.
const minDocumentAge = 10 * time.Second

// Document is what the verdict of a deployment stands on, by the ledger's id.
func (r *Replay) Document(deploymentID string) (*detect.Document, bool) {
	return r.monitor.engine.Document(deploymentID)
}

// document is what the ledger holds of what a verdict stands on.
type document struct {
	of *detect.Document // its decision's, which does not change
	at time.Time
}

// keepDocument gives the ledger what a verdict stands on, at once when the
// verdict changed.
func (m *monitor) keepDocument(t *tracked, now time.Time, changed bool) {
	keeper, ok := m.ledger.(ledger.Documents)
	if !ok || !changed && now.Sub(t.document.at) < max(minDocumentAge, now.Sub(t.d.StartedAt)/10) {
		return
	}
	d, ok := m.engine.Document(t.d.ID)
	if !ok || d == t.document.of {
		return
	}
	text, err := json.Marshal(d)
	if err != nil {
		m.logger.Error("what a verdict stands on cannot be written", zap.String("deployment", t.d.ID), zap.Error(err))
		return
	}
	t.document = document{d, now}
	keeper.RecordEvidence(t.d.ID, d.At, text)
}
