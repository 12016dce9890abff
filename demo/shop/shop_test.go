package shop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/demo/shop/order"
)

func TestEveryCommitChangesSomethingAndOneIsTheCulprit(t *testing.T) {
	for _, fault := range Faults {
		t.Run(fault.Name, func(t *testing.T) {
			history, err := History(fault)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(history), 12)
			tree := map[string]string{}
			var authors, culprits []string
			var versions []string
			for i, c := range history {
				changed := false
				for _, f := range c.Files {
					changed = changed || tree[f.Path] != string(f.Text)
					tree[f.Path] = string(f.Text)
				}
				require.True(t, changed, "%s changes nothing", c.Message)
				authors = append(authors, c.Author)
				if c.Version != "" {
					versions = append(versions, c.Version)
				}
				if c.Culprit {
					culprits = append(culprits, c.Message)
					require.Greater(t, i, 8, "innocent commits come before the culprit")
					require.Less(t, i, len(history)-1, "and after it")
				}
			}
			require.Len(t, culprits, 1)
			require.Equal(t, []string{Baseline, Good, Bad}, versions)
			require.Contains(t, authors, "Jonas Berg")
		})
	}
}

// What the repository holds at a release is a program: it compiles, and its
// files are the ones that the demo runs.
func TestEveryReleaseCompilesFromItsCommits(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	for _, fault := range Faults {
		t.Run(fault.Name, func(t *testing.T) {
			history, err := History(fault)
			require.NoError(t, err)
			dir := t.TempDir()
			replace := map[string]string{}
			for _, c := range history {
				for _, f := range c.Files {
					if !strings.HasSuffix(f.Path, ".go") {
						continue
					}
					to := filepath.Join(dir, f.Path)
					require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
					require.NoError(t, os.WriteFile(to, f.Text, 0o600))
					replace[filepath.Join(here, f.Path)] = to
				}
			}
			overlay := filepath.Join(dir, "overlay.json")
			text, err := json.Marshal(map[string]any{"Replace": replace})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(overlay, text, 0o600))
			out, err := exec.Command("go", "build", "-overlay", overlay, "./services/...").CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

func TestFaultsAreReal(t *testing.T) {
	guest := order.Order{Items: []order.Item{{SKU: "tea", Quantity: 1}}}
	coupon := order.Order{Items: guest.Items, Loyalty: &order.Loyalty{Percent: 5}, Coupon: &order.Coupon{Code: "AUTUMN", Percent: 10, ValidUntil: 4102444800}}
	prices := map[string]int64{"tea": 1000}
	for _, version := range []string{Baseline, Good} {
		rules, known := Rules(version, "")
		require.True(t, known)
		total, err := rules.Total(guest, prices)
		require.NoError(t, err)
		require.EqualValues(t, 1000, total)
		total, err = rules.Total(coupon, prices)
		require.NoError(t, err)
		require.EqualValues(t, 900, total)
	}
	exception, _ := Rules(Bad, "exception")
	require.Panics(t, func() { _, _ = exception.Total(guest, prices) })
	errors, _ := Rules(Bad, "errors")
	_, err := errors.Total(coupon, prices)
	require.ErrorContains(t, err, "coupon AUTUMN is no longer valid")
	_, known := Rules(Bad, "no such fault")
	require.False(t, known)
}
