package demo

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// deployer is the demo's deploy tool: its rollback command is one that can
// really be run, by the demo or by whoever watches it.
type deployer struct {
	server   *http.Server
	url      string
	rollback chan struct{} // gets one when a rollback is asked for
}

func newDeployer() (*deployer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &deployer{url: "http://" + listener.Addr().String(), rollback: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rollback/checkout", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case d.rollback <- struct{}{}:
		default: // one is enough
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintln(w, "rolling back checkout")
	})
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // ends with close
	return d, nil
}

// command is what a person types to roll checkout back.
func (d *deployer) command(version string) string {
	return fmt.Sprintf("curl -X POST '%s/rollback/checkout?to=%s'", d.url, version)
}

func (d *deployer) close() { _ = d.server.Close() }
