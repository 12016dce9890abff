package logpattern

import (
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
)

func TestFingerprint(t *testing.T) {
	stack := "E: x\n\tat com.acme.Cart.total(Cart.java:88)\n\tat com.acme.Cart.lambda$sum$3(Cart.java:90)\n\tat java.base/java.util.ArrayList.forEach(ArrayList.java:1)\n\tat com.acme.Checkout.run(Checkout.java:7)\n"
	base := Fingerprint("E", "total of cart 17 is undefined", stack)
	assert.Len(t, base.Frames, 3)
	assert.Len(t, base.ID(), 16)

	for _, tc := range []struct {
		name, typ, message, stack string
		same                      bool
	}{
		{"another line, message and lambda number", "E", "other", "E: y\n\tat com.acme.Cart.total(Cart.java:91)\n\tat com.acme.Cart.lambda$sum$5(Cart.java:90)\n\tat com.acme.Checkout.run(Checkout.java:9)\n", true},
		{"another type", "F", "total of cart 17 is undefined", stack, false},
		{"another function on top", "E", "", "E: x\n\tat com.acme.Cart.price(Cart.java:88)\n\tat com.acme.Cart.lambda$sum$3(Cart.java:90)\n\tat com.acme.Checkout.run(Checkout.java:7)\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.same, base.Fingerprint == Fingerprint(tc.typ, tc.message, tc.stack).Fingerprint)
		})
	}

	t.Run("releases and bundles of one file", func(t *testing.T) {
		a := Fingerprint("TypeError", "", "    at total (/srv/releases/20261122101500/dist/cart.4f2a9c1b.js:1:2)")
		b := Fingerprint("TypeError", "", "    at total (/srv/releases/20261123111500/dist/cart.09ab37ef.js:1:9)")
		assert.Equal(t, a.Fingerprint, b.Fingerprint)
	})
	t.Run("no stack: the masked message", func(t *testing.T) {
		a := Fingerprint("TimeoutError", "no answer from 10.0.0.1:5432 after 30s", "")
		assert.Equal(t, a.Fingerprint, Fingerprint("TimeoutError", "no answer from 10.9.8.7:5432 after 31s", "").Fingerprint)
		assert.NotEqual(t, a.Fingerprint, Fingerprint("TimeoutError", "pool is closed", "").Fingerprint)
	})
	t.Run("type from the head of the trace", func(t *testing.T) {
		assert.Equal(t, "java.lang.IllegalStateException", Fingerprint("", "", "java.lang.IllegalStateException: closed\n\tat a.B.c(B.java:1)").Type)
	})
}

func TestMaskerHashesWhatMaskGives(t *testing.T) {
	var m Masker
	for _, line := range []string{"took 3 s", "", "fetched 'a' from /srv/4f2a9c1b/x", "took 99 s"} {
		assert.Equal(t, xxhash.Sum64String(Mask(line)), m.Hash(line), line)
	}
	assert.Equal(t, m.Hash("took 3 s"), m.Hash("took 99 s"))
	assert.Zero(t, testing.AllocsPerRun(10, func() { m.Hash("took 3 s for 4f2a9c1b") }))
}

func FuzzFingerprint(f *testing.F) {
	f.Add("E", "message 17", traces[2].text)
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, typ, message, stack string) {
		a, b := Fingerprint(typ, message, stack), Fingerprint(typ, message, stack)
		if a.Fingerprint != b.Fingerprint {
			t.Fatal("two fingerprints of one exception")
		}
	})
}
