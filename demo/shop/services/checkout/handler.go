// Package checkout prices an order, reserves its stock, has it paid for and
// sees that it is confirmed.
package checkout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

// Rules are the parts of checkout that change from release to release.
type Rules struct {
	Prices     func(ctx context.Context, items []order.Item) (map[string]int64, error)
	Total      func(order.Order, map[string]int64) (int64, error)
	Shipping   func(o order.Order, total int64) int64
	Reserve    func(ctx context.Context, items []order.Item) error
	Confirm    func(context.Context, *telemetry.T, order.Order)
	NewJournal func() order.Journal
}

// Current is what this revision does.
func Current() Rules {
	return Rules{Prices: Prices, Total: Total, Shipping: Shipping, Reserve: Reserve, Confirm: Confirm, NewJournal: NewJournal}
}

// confirmations that wait; more than that and the customer gets none.
const backlog = 256

// New serves checkout; payments is that service's base URL. The confirmations
// go out until ctx ends.
func New(ctx context.Context, t *telemetry.T, rules Rules, payments string) *http.ServeMux {
	journal := rules.NewJournal()
	paid := make(chan order.Order, backlog)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case o := <-paid:
				rules.Confirm(ctx, t, o)
			}
		}
	}()

	client := telemetry.Client()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		var o order.Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
			http.Error(w, "not an order", http.StatusBadRequest)
			return
		}
		telemetry.User(r.Context(), o.User)
		receipt, err := place(r.Context(), client, rules, payments, o)
		if err != nil {
			t.Log.ErrorContext(r.Context(), "cannot place order: "+err.Error(), "order", o.ID)
			http.Error(w, "cannot place order", http.StatusInternalServerError)
			return
		}
		journal.Append(receipt)
		select {
		case paid <- o:
		default:
			t.Log.WarnContext(r.Context(), "too many confirmations wait", "order", o.ID)
		}
		t.Log.InfoContext(r.Context(), "order placed", "order", o.ID, "total", receipt.Total)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(receipt)
	})
	return mux
}

func place(ctx context.Context, client *http.Client, rules Rules, payments string, o order.Order) (order.Receipt, error) {
	prices, err := rules.Prices(ctx, o.Items)
	if err != nil {
		return order.Receipt{}, err
	}
	total, err := rules.Total(o, prices)
	if err != nil {
		return order.Receipt{}, err
	}
	if err := rules.Reserve(ctx, o.Items); err != nil {
		return order.Receipt{}, err
	}
	shipping := rules.Shipping(o, total)
	payment, err := charge(ctx, client, payments, order.Charge{Order: o.ID, User: o.User, Amount: total + shipping})
	if err != nil {
		return order.Receipt{}, err
	}
	return order.Receipt{Order: o.ID, Total: total, Shipping: shipping, Payment: payment, At: time.Now()}, nil
}

func charge(ctx context.Context, client *http.Client, payments string, c order.Charge) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, payments+"/charge", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("payments does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("payments answered %s", answer.Status)
	}
	var paid struct{ Payment string }
	err = json.NewDecoder(answer.Body).Decode(&paid)
	return paid.Payment, err
}
