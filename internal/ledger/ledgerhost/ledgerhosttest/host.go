// Package ledgerhosttest gives tests a host that runs a ledger.
package ledgerhosttest

import (
	"go.opentelemetry.io/collector/component"

	"github.com/deployloop/deployloop/internal/ledger"
)

// Host has one extension, "ledger".
type Host struct{ *ledger.Ledger }

// New is a host with an empty ledger.
func New() Host { return Host{ledger.New(ledger.Limits{})} }

// GetExtensions makes it a component.Host.
func (h Host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("ledger"): extension{Ledger: h.Ledger}}
}

type extension struct {
	component.StartFunc
	component.ShutdownFunc
	*ledger.Ledger
}
