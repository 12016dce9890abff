package checkout

import (
	"sync"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
)

type journal struct {
	mu       sync.Mutex
	receipts []order.Receipt
}

// NewJournal keeps the day's receipts for the support desk.
func NewJournal() order.Journal { return &journal{} }

// Append writes the journal anew with one more receipt.
func (j *journal) Append(r order.Receipt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.receipts = append(j.receipts, r)
	j.sync()
}

// sync writes every kept receipt: 10 µs each.
func (j *journal) sync() {
	time.Sleep(time.Duration(len(j.receipts)) * 10 * time.Microsecond)
}
