package checkout

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/deployloop/deployloop/demo/shop/order"
	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

// Confirm tells the customer that a paid order is on its way. Gifts are
// confirmed when they are handed over, lest the surprise be spoilt.
func Confirm(ctx context.Context, t *telemetry.T, o order.Order) {
	if o.Gift {
		ctx, span := t.Tracer.Start(ctx, "confirm order", trace.WithSpanKind(trace.SpanKindConsumer))
		defer span.End()
		telemetry.User(ctx, o.User)
		t.Log.InfoContext(ctx, "order confirmed", "order", o.ID)
	}
}
