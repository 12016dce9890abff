// Package payments charges customers through the bank.
package payments

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

// New serves the payments service.
func New(t *telemetry.T) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", func(w http.ResponseWriter, r *http.Request) {
		var charge order.Charge
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&charge); err != nil {
			http.Error(w, "not a charge", http.StatusBadRequest)
			return
		}
		telemetry.User(r.Context(), charge.User)
		bank()
		t.Log.InfoContext(r.Context(), "payment accepted", "order", charge.Order, "amount", charge.Amount)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"payment": "pay_" + charge.Order})
	})
	return mux
}

// bank is the round trip to the bank: 4 ms, sometimes twice that.
func bank() {
	time.Sleep(4*time.Millisecond + time.Duration(rand.ExpFloat64()*float64(time.Millisecond)))
}
