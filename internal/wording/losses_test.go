package wording

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the detector counts as lost is explained.
func TestEveryLossHasWords(t *testing.T) {
	named := regexp.MustCompile(`(?:\bloss[A-Z]\w*\s*=|\bcounted[A-Z]\w*\s*=|\.add\(|\blost =) ?"([a-z][a-z_]*[a-z])"`)
	listed := regexp.MustCompile(`(?s)var lossNames = \[lossCount\]string\{(.*?)\}`)
	found := map[string]bool{}
	for _, folder := range []string{"../detect", "../../connector/anomalyconnector"} {
		files, err := filepath.Glob(folder + "/*.go")
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, m := range named.FindAllSubmatch(text, -1) {
				found[string(m[1])] = true
			}
			for _, m := range listed.FindAllSubmatch(text, -1) {
				for _, x := range regexp.MustCompile(`"([a-z_]+)"`).FindAllSubmatch(m[1], -1) {
					found[string(x[1])] = true
				}
			}
		}
	}
	require.Greater(t, len(found), 40)
	for name := range found {
		require.NotEmpty(t, Loss(name), name)
	}
	require.Empty(t, Loss("nobody knows"))
}
