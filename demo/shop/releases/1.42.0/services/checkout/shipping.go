package checkout

import "github.com/deployloop/deployloop/demo/shop/order"

const (
	// freeFrom is the total from which the shop pays for shipping.
	freeFrom = 50_00
	// parcel and gift are what the parcel service takes.
	parcel = 4_90
	gift   = 5_90
)

// Shipping costs what the parcel service takes, and nothing from 50.00 on. Cents.
func Shipping(o order.Order, total int64) int64 {
	switch {
	case total >= freeFrom:
		return 0
	case o.Gift:
		return gift
	default:
		return parcel
	}
}
