package checkout

import (
	"context"
	"fmt"

	"github.com/deployloop/deployloop/demo/shop/order"
)

const most = 100

// Reserve takes an order's items from the stock.
func Reserve(_ context.Context, items []order.Item) error {
	for _, item := range items {
		if item.Quantity <= 0 {
			return fmt.Errorf("no quantity of %s", item.SKU)
		}
	}
	for _, item := range items {
		if item.Quantity > most {
			return fmt.Errorf("not that many %s in stock", item.SKU)
		}
	}
	return nil
}
