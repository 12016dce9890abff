package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/deployloop/deployloop/demo/shop"
	"github.com/deployloop/deployloop/demo/shop/services/checkout"
	"github.com/deployloop/deployloop/demo/shop/services/payments"
	"github.com/deployloop/deployloop/demo/shop/services/storefront"
	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

// ServiceOptions say which instance of which release a process is.
type ServiceOptions struct {
	telemetry.Identity
	Fault    string // how release 1.42.0 went wrong
	OTLP     string // address of the Collector's OTLP/HTTP listener
	Upstream string // base URL of the service that this one calls
}

// RunService serves one instance of the shop until ctx ends. It prints its
// address on ready once it listens.
func RunService(ctx context.Context, o ServiceOptions, ready io.Writer) error {
	t, err := telemetry.Start(ctx, o.OTLP, o.Identity)
	if err != nil {
		return err
	}
	var mux *http.ServeMux
	switch o.Service {
	case "storefront":
		mux = storefront.New(t, o.Upstream)
	case "checkout":
		rules, known := shop.Rules(o.Version, o.Fault)
		if !known {
			return fmt.Errorf("checkout has no release %s with fault %q", o.Version, o.Fault)
		}
		mux = checkout.New(ctx, t, rules, o.Upstream)
	case "payments":
		mux = payments.New(t)
	default:
		return fmt.Errorf("the shop has no service %q", o.Service)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: t.Handler(mux), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(ready, listener.Addr()); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// The last requests, and the telemetry of them, still go out.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(stopping), t.Stop(stopping))
}
