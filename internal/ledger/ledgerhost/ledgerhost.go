// Package ledgerhost finds the ledger among a Collector's extensions, for
// components that can do without it.
package ledgerhost

import (
	"fmt"

	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/ledger"
)

// Recorder is the running ledger of that id, nil if no extension has the id:
// an exporter may stand in a collector of its own. An extension of the id that
// is no ledger is an error.
func Recorder(host component.Host, id component.ID) (ledger.Recorder, error) {
	extension, ok := host.GetExtensions()[id]
	if !ok {
		return nil, nil
	}
	recorder, ok := extension.(ledger.Recorder)
	if !ok {
		return nil, fmt.Errorf("ledger: extension %q is no ledger; name one of type \"ledger\"", id)
	}
	return recorder, nil
}
