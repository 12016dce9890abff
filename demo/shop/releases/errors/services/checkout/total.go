package checkout

import (
	"fmt"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
)

// Total is what the items of an order cost, less its coupon. Cents.
func Total(o order.Order, prices map[string]int64) (int64, error) {
	var total int64
	for _, item := range o.Items {
		price, ok := prices[item.SKU]
		if !ok {
			return 0, fmt.Errorf("no price for %s", item.SKU)
		}
		total += price * int64(item.Quantity)
	}
	if o.Coupon != nil {
		if o.Coupon.ValidUntil < time.Now().UnixMilli() {
			return 0, fmt.Errorf("coupon %s is no longer valid", o.Coupon.Code)
		}
		total -= total * o.Coupon.Percent / 100
	}
	return total, nil
}
