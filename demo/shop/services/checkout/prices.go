package checkout

import (
	"context"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
)

// Prices asks the price list for all items at once. Cents by SKU.
func Prices(ctx context.Context, items []order.Item) (map[string]int64, error) {
	if err := askPriceList(ctx); err != nil {
		return nil, err
	}
	prices := make(map[string]int64, len(items))
	for _, item := range items {
		prices[item.SKU] = listPrice(item.SKU)
	}
	return prices, nil
}

// askPriceList is one round trip to the price list.
func askPriceList(ctx context.Context) error {
	select {
	case <-time.After(3 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func listPrice(sku string) int64 {
	price := int64(499)
	for _, c := range sku {
		price = (price*31 + int64(c)) % 9000
	}
	return price + 100
}
