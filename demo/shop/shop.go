// Package shop is what `deployloop demo` plays with: three real services, the
// releases of one of them, and their history as commits.
//
// Every file of the shop is compiled into the binary and embedded in it as
// text, so that the repository that the demo creates holds the very source that
// runs. A release is a set of files laid over services/: releases/NAME/PATH is
// what PATH became with it.
package shop

import (
	"embed"

	"github.com/deployloop/deployloop/demo/shop/services/checkout"

	v1_41_3 "github.com/deployloop/deployloop/demo/shop/releases/1.41.3/services/checkout"
	v1_42_0 "github.com/deployloop/deployloop/demo/shop/releases/1.42.0/services/checkout"
	faultyErrors "github.com/deployloop/deployloop/demo/shop/releases/errors/services/checkout"
	faultyException "github.com/deployloop/deployloop/demo/shop/releases/exception/services/checkout"
	faultyLatency "github.com/deployloop/deployloop/demo/shop/releases/latency/services/checkout"
	faultyLeak "github.com/deployloop/deployloop/demo/shop/releases/slow-leak/services/checkout"
	faultyVanished "github.com/deployloop/deployloop/demo/shop/releases/vanished/services/checkout"
)

//go:embed README.md deploy order releases services telemetry
var source embed.FS

// The versions of checkout, in the order in which the demo deploys them.
const (
	Baseline = "1.41.2"
	Good     = "1.41.3"
	Bad      = "1.42.0"
)

// Fault is one way in which release 1.42.0 went wrong.
type Fault struct {
	Name    string
	Summary string // what it does to customers
	commit  commit
	rules   func(*checkout.Rules)
}

// Faults in the order in which they are listed.
var Faults = []Fault{
	{
		Name:    "exception",
		Summary: "guests, who have no loyalty card, meet a nil pointer",
		commit: commit{author: mei, message: "Give loyal customers their discount\n\nThe card's tier already says how much.",
			files: over("exception", "services/checkout/total.go")},
		rules: func(r *checkout.Rules) { r.Total = faultyException.Total },
	},
	{
		Name:    "errors",
		Summary: "every coupon is refused: seconds are compared with milliseconds",
		commit: commit{author: mei, message: "Refuse coupons that are no longer valid",
			files: over("errors", "services/checkout/total.go")},
		rules: func(r *checkout.Rules) { r.Total = faultyErrors.Total },
	},
	{
		Name:    "latency",
		Summary: "one round trip to the price list for every single article",
		commit: commit{author: mei, message: "Charge the price of the moment\n\nAsk the price list when a line is priced, not before.",
			files: over("latency", "services/checkout/prices.go")},
		rules: func(r *checkout.Rules) { r.Prices = faultyLatency.Prices },
	},
	{
		Name:    "vanished",
		Summary: "customers are no longer told that their order is on its way",
		commit: commit{author: mei, message: "Keep gifts a surprise\n\nThey are confirmed when they are handed over.",
			files: over("vanished", "services/checkout/confirm.go")},
		rules: func(r *checkout.Rules) { r.Confirm = faultyVanished.Confirm },
	},
	{
		Name:    "slow-leak",
		Summary: "the journal is never cut: each order takes longer than the one before",
		commit: commit{author: mei, message: "Keep the whole day's receipts\n\nThe support desk asked for more than the last few.",
			files: over("slow-leak", "services/checkout/journal.go")},
		rules: func(r *checkout.Rules) { r.NewJournal = faultyLeak.NewJournal },
	},
}

// FaultNamed finds a fault.
func FaultNamed(name string) (Fault, bool) {
	for _, f := range Faults {
		if f.Name == name {
			return f, true
		}
	}
	return Fault{}, false
}

// Rules is what checkout does in a version; fault names how 1.42.0 went wrong
// and plays no part in the others.
func Rules(version, fault string) (rules checkout.Rules, known bool) {
	rules = checkout.Current()
	switch version {
	case Baseline:
	case Good:
		rules.Shipping = v1_41_3.Shipping
	case Bad:
		rules.Shipping, rules.Reserve = v1_42_0.Shipping, v1_42_0.Reserve
		f, ok := FaultNamed(fault)
		if !ok {
			return rules, false
		}
		f.rules(&rules)
	default:
		return rules, false
	}
	return rules, true
}
