package gitrange

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOwnersOfAPath(t *testing.T) {
	for name, c := range map[string]struct {
		text, path string
		want       []string
	}{
		"the last rule that fits":       {"* @all\n/cart/ @acme/cart ada@shop.example # ours\n", "cart/total.go", []string{"@acme/cart", "ada@shop.example"}},
		"the rule for all":              {"* @all\n/cart/ @acme/cart\n", "pay/pay.go", []string{"@all"}},
		"a rule without owners":         {"* @all\n/cart/gen/\n", "cart/gen/x.go", nil},
		"a line that is no rule":        {"/a b c [ \n!x\n*.go @go\n", "x.go", []string{"@go"}},
		"nobody":                        {"/cart/ @cart\n", "README.md", nil},
		"sections add up":               {"[Go]\n*.go @go\n^[Cart][2] @cart\n/cart/\n/cart/ui/ @ui\n", "cart/total.go", []string{"@go", "@cart"}},
		"the owner in a section":        {"[Go]\n*.go @go\n[Cart] @cart\n/cart/\n/cart/ui/ @ui\n", "cart/ui/x.go", []string{"@go", "@ui"}},
		"a glob with a class":           {"[a-c]art/ @abc\n", "cart/x.go", nil}, // no forge takes classes
		"carriage returns are no names": {"*.go @go\r\n", "x.go", []string{"@go"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, ParseOwners(c.text).Of(c.path))
		})
	}
	var none *Owners
	require.Empty(t, none.Of("x"))
	require.True(t, ParseOwners("*.go @Acme/Go\n").OwnedBy("x.go", []string{"@acme/go"}))
	require.False(t, ParseOwners("*.go @Acme/Go\n").OwnedBy("x.go", []string{"@acme"}))
}

func TestOwnersAreReadAtTheRevision(t *testing.T) {
	h := newHistory(t)
	h.write("docs/CODEOWNERS", "* @docs\n")
	h.write("CODEOWNERS", "* @old\n")
	old := h.commit("one")
	h.write(".github/CODEOWNERS", "* @new\n")
	h.commit("two")
	r := h.open()
	require.Equal(t, []string{"@old"}, r.Owners(context.Background(), old).Of("x"))
	require.Equal(t, []string{"@new"}, r.Owners(context.Background(), "HEAD").Of("x"))
	require.Nil(t, r.Owners(context.Background(), "--all"))
}

func TestARangeOfAnOwner(t *testing.T) {
	h := newHistory(t)
	h.write("CODEOWNERS", "* @all\n/cart/ @acme/cart\n")
	old := h.commit("begin")
	h.write("cart/total.go", "1\n")
	h.write("README.md", "1\n")
	cart := h.commit("cart")
	h.write("pay/pay.go", "1\n")
	pay := h.commit("pay")
	r := h.open()
	got := mustRange(t, r, old, pay, Options{Owners: []string{"@Acme/Cart"}})
	require.Equal(t, []string{cart}, ids(got.Commits))
	require.Len(t, got.Commits[0].Files, 2)
	require.Empty(t, got.Note)
	require.Len(t, mustRange(t, r, old, pay, Options{}).Commits, 2, "another question has another answer in the cache")
	h.git("rm", "--quiet", "CODEOWNERS")
	got = mustRange(t, r, old, h.commit("nobody owns"), Options{Owners: []string{"@acme/cart"}})
	require.Len(t, got.Commits, 3)
	require.Contains(t, got.Note, "no CODEOWNERS")
}

func TestOwnersAreBounded(t *testing.T) {
	o := ParseOwners("* " + strings.Repeat("@a @b @c @d @e @f @g @h @i ", 1) + "\n" + strings.Repeat("*.go @go\n", maxOwnerRules+10))
	require.Len(t, o.sections[0], maxOwnerRules)
	require.Len(t, o.Of("x.c"), maxOwners)
}

func FuzzParseOwners(f *testing.F) {
	f.Add("* @all\n[Cart][2] @cart\n/cart/**/x\\ y @a/b\n", "cart/x")
	f.Fuzz(func(t *testing.T, text, path string) {
		if len(text) > 4<<10 {
			return
		}
		require.LessOrEqual(t, len(ParseOwners(text).Of(path)), maxOwners)
	})
}
