package anomalyconnector

import (
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// callees remembers what became of the addresses that one source calls.
type callees struct {
	byAddress map[string]string
}

// of names what a client span called: a service, by peer.service, else by the
// first label of a name inside the cluster; else the host that it names. An
// address that is only a number names nothing. The result is owned.
func (c *callees) of(attributes pcommon.Map) string {
	var peer, address, older string
	for key, value := range attributes.All() {
		// The first byte decides for most keys before any comparison.
		switch key[0:min(1, len(key))] {
		case "p":
			if key == "peer.service" {
				peer = text(value)
			}
		case "s":
			if key == "server.address" {
				address = text(value)
			}
		case "n":
			if key == "net.peer.name" {
				older = text(value)
			}
		}
	}
	if address == "" {
		address = older
	}
	if peer != "" {
		address = peer
	}
	if address == "" {
		return ""
	}
	if known, ok := c.byAddress[address]; ok {
		return known
	}
	name := strings.Clone(address)
	if peer == "" {
		name = hostOf(name)
	}
	if c.byAddress == nil || len(c.byAddress) >= maxNames {
		c.byAddress = map[string]string{}
	}
	c.byAddress[strings.Clone(address)] = name
	return name
}

// hostOf is what an address names: "payments" of "payments.shop.svc.cluster.local:8080".
func hostOf(address string) string {
	host, port, ok := strings.Cut(address, ":")
	if !ok || !isDigits(port) {
		host = address
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" || strings.HasPrefix(host, "/") {
		return ""
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if first, rest, ok := strings.Cut(host, "."); ok && (rest == "svc" || strings.Contains(rest, ".svc.") || strings.HasSuffix(rest, ".svc") || strings.HasSuffix(rest, ".internal")) {
		return first
	}
	return host
}
