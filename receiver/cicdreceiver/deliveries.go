package cicdreceiver

import (
	lru "github.com/hashicorp/golang-lru/v2"
)

// maxDeliveries is how many delivery ids are remembered: a day of a busy
// organisation, about 1 MiB. The one used longest ago is forgotten first; what
// is then delivered again is reconciled by the ledger.
const maxDeliveries = 10000

// deliveries knows which webhook deliveries were taken, so that one sent again
// by the forge, or by hand, is not told twice.
type deliveries struct {
	known *lru.Cache[string, struct{}]
}

func newDeliveries() *deliveries {
	known, err := lru.New[string, struct{}](maxDeliveries)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &deliveries{known: known}
}

// begin claims a delivery; false means that it was taken before or is being
// taken now. An empty id cannot be told from another and is always new.
func (d *deliveries) begin(source, id string) bool {
	if id == "" {
		return true
	}
	known, _ := d.known.ContainsOrAdd(source+"\x00"+id, struct{}{})
	return !known
}

// failed gives a delivery back, so that it is taken when it is sent again.
func (d *deliveries) failed(source, id string) { d.known.Remove(source + "\x00" + id) }
