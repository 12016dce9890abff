package checkout

import "github.com/deployloop/deployloop/demo/shop/order"

// freeFrom is the total from which the shop pays for shipping.
const freeFrom = 50_00

// Shipping costs a flat 4.90, and nothing from 50.00 on. Cents.
func Shipping(_ order.Order, total int64) int64 {
	if total >= freeFrom {
		return 0
	}
	return 490
}
