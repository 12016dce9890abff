// Package order is what the shop's services tell each other.
package order

import "time"

// Order is a basket on its way to being paid for.
type Order struct {
	ID      string   `json:"id"`
	User    string   `json:"user"`
	Items   []Item   `json:"items"`
	Coupon  *Coupon  `json:"coupon,omitempty"`
	Loyalty *Loyalty `json:"loyalty,omitempty"` // nil for a guest
	Gift    bool     `json:"gift,omitempty"`
}

// Item is a quantity of one article.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Coupon takes a share off the total until it expires.
type Coupon struct {
	Code       string `json:"code"`
	Percent    int64  `json:"percent"`
	ValidUntil int64  `json:"valid_until"` // Unix seconds
}

// Loyalty is what a returning customer is entitled to.
type Loyalty struct {
	Tier    string `json:"tier"`
	Percent int64  `json:"percent"`
}

// Receipt is a paid order. Amounts are in cents.
type Receipt struct {
	Order    string    `json:"order"`
	Total    int64     `json:"total"`
	Shipping int64     `json:"shipping"`
	Payment  string    `json:"payment"`
	At       time.Time `json:"at"`
}

// Charge asks the payments service for money.
type Charge struct {
	Order  string `json:"order"`
	User   string `json:"user"`
	Amount int64  `json:"amount"` // cents
}

// Journal keeps receipts for the support desk.
type Journal interface {
	Append(Receipt)
}
