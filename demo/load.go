package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/demo/shop/order"
)

// The shop's customers: this many requests a second, four of five of them
// orders, and never more at once than patience allows.
const (
	requestsPerSecond = 80
	requestsAtOnce    = 64
)

// customers load the shop with orders.
type customers struct {
	url    string
	client *http.Client
	busy   chan struct{}

	sent, failed, turnedAway atomic.Int64
}

func newCustomers(url string) *customers {
	return &customers{
		url:    url,
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: requestsAtOnce}},
		busy:   make(chan struct{}, requestsAtOnce),
	}
}

// shop sends requests until ctx ends.
func (c *customers) shop(ctx context.Context) {
	tick := time.NewTicker(time.Second / requestsPerSecond)
	defer tick.Stop()
	random := rand.New(rand.NewPCG(1, 2)) // the same customers every time
	var wait sync.WaitGroup
	defer wait.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		request := c.request(ctx, random, n)
		select {
		case c.busy <- struct{}{}:
		default: // all customers wait already
			c.turnedAway.Add(1)
			continue
		}
		wait.Go(func() {
			defer func() { <-c.busy }()
			c.send(request)
		})
	}
}

func (c *customers) send(request *http.Request) {
	answer, err := c.client.Do(request)
	if request.Context().Err() != nil {
		return
	}
	c.sent.Add(1)
	if err != nil {
		c.failed.Add(1)
		return
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		c.failed.Add(1)
	}
}

var articles = []string{"tea", "cup", "pot", "spoon", "tin", "tray", "cloth", "honey", "lamp", "candle", "vase", "bowl"}

func (c *customers) request(ctx context.Context, random *rand.Rand, n int) *http.Request {
	user := fmt.Sprintf("user-%d", random.IntN(5000))
	if random.IntN(5) == 0 {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/products/"+articles[random.IntN(len(articles))], nil)
		r.Header.Set("X-User", user)
		return r
	}
	o := order.Order{ID: fmt.Sprintf("%06d", n), User: user, Gift: random.IntN(50) == 0}
	for range 2 + random.IntN(3) {
		o.Items = append(o.Items, order.Item{SKU: articles[random.IntN(len(articles))], Quantity: 1 + random.IntN(3)})
	}
	if random.IntN(4) == 0 {
		o.Coupon = &order.Coupon{Code: fmt.Sprintf("AUTUMN-%04d", random.IntN(10000)), Percent: 10, ValidUntil: time.Now().AddDate(0, 1, 0).Unix()}
	}
	if random.IntN(5) > 0 { // one in five is a guest
		o.Loyalty = &order.Loyalty{Tier: "silver", Percent: 2}
	}
	body, _ := json.Marshal(o) // plain data: cannot fail
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/cart/checkout", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}
