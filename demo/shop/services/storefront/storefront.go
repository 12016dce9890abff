// Package storefront is what customers talk to: it shows articles and sends
// baskets to checkout.
package storefront

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/deployloop/deployloop/demo/shop/order"
	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

// New serves the storefront; checkout is that service's base URL.
func New(t *telemetry.T, checkout string) *http.ServeMux {
	client := telemetry.Client()
	mux := http.NewServeMux()

	mux.HandleFunc("GET /products/{sku}", func(w http.ResponseWriter, r *http.Request) {
		telemetry.User(r.Context(), r.Header.Get("X-User"))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"sku": r.PathValue("sku"), "name": "Article " + strings.ToUpper(r.PathValue("sku"))})
	})

	mux.HandleFunc("POST /cart/checkout", func(w http.ResponseWriter, r *http.Request) {
		var basket order.Order
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err == nil {
			err = json.Unmarshal(body, &basket)
		}
		if err != nil {
			http.Error(w, "not a basket", http.StatusBadRequest)
			return
		}
		telemetry.User(r.Context(), basket.User)
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, checkout+"/checkout", strings.NewReader(string(body)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Log.ErrorContext(r.Context(), "checkout does not answer", "error", err.Error())
			http.Error(w, "checkout does not answer", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			http.Error(w, "your order could not be placed", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, answer.Body)
	})
	return mux
}
