package checkout

import (
	"testing"

	"github.com/deployloop/deployloop/demo/shop/order"
)

func TestReserveRefusesWhatIsNotThere(t *testing.T) {
	for name, quantity := range map[string]int{"none": 0, "negative": -1, "too many": most + 1} {
		t.Run(name, func(t *testing.T) {
			items := []order.Item{{SKU: "tea", Quantity: 1}, {SKU: "cup", Quantity: quantity}}
			if err := Reserve(t.Context(), items); err == nil {
				t.Errorf("%d cups were reserved", quantity)
			}
		})
	}
}
