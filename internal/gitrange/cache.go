package gitrange

import (
	"crypto/sha256"
	"fmt"
	"sync"
)

// cache holds the last ranges. A range between two commit ids never changes
// (shallow clones apart, which are not kept), so only room makes it forget:
// the oldest goes first, beyond 16 ranges or 64 MiB of diffs.
type cache struct {
	mu      sync.Mutex
	entries []cacheEntry // oldest first
	bytes   int
}

type cacheEntry struct {
	key    [32]byte
	result Result
	bytes  int
}

const (
	cacheEntries = 16
	cacheBytes   = 64 << 20
)

func newCache() *cache { return &cache{} }

func cacheKey(r Result, o Options) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%q\x00%q\x00%d %d %d %t", r.Base, r.Previous, r.New,
		o.Paths, o.Owners, o.MaxCommits, o.MaxDiffBytes, o.MaxTotalBytes, o.FirstParent))
}

func (c *cache) get(key [32]byte) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.entries {
		if e.key == key {
			copy(c.entries[i:], c.entries[i+1:]) // used last: to the end
			c.entries[len(c.entries)-1] = e
			return e.result, true
		}
	}
	return Result{}, false
}

func (c *cache) add(key [32]byte, r Result, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.entries {
		if e.key == key { // two callers read it at once
			c.bytes -= e.bytes
			c.entries = append(c.entries[:i], c.entries[i+1:]...)
			break
		}
	}
	c.entries = append(c.entries, cacheEntry{key, r, bytes})
	c.bytes += bytes
	for len(c.entries) > cacheEntries || c.bytes > cacheBytes && len(c.entries) > 0 {
		c.bytes -= c.entries[0].bytes
		c.entries[0] = cacheEntry{}
		c.entries = c.entries[1:]
	}
}
