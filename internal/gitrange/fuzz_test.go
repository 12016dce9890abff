package gitrange

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParser: whatever git might print, the parser ends, keeps its limits and
// tells hunks whose counts are not negative.
func FuzzParser(f *testing.F) {
	f.Add("NC\nid\np q\nAda\na@b\n2026-01-02T03:04:05+01:00\nmessage\nNE\n\n:100644 100644 a b M\tx\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ func f()\n a\n-b\n+c\n+d\n")
	f.Add("NC\nid\np q r\nAda\na@b\nwhen\nNE\n::100644 100644 100644 a b c MM\tx\ndiff --cc x\n@@@ -1,1 -1,1 +1,2 @@@\n  a\n++b\n- c\n")
	f.Add("NC\nid\n\nA\nB\nC\nNE\n:0 1 2 3 R100\ta\tb\n:1\t\n:::\t\ndiff --git \"a/\\303\" b/x\n@@ -0,0 +9999999999999999999,2 @@\n+\n\\ No newline\n@@@@@@@@@@ x\n")
	f.Fuzz(func(t *testing.T, text string) {
		limits := Options{MaxCommits: 3, MaxDiffBytes: 200, MaxTotalBytes: 300}.withDefaults()
		p := &parser{in: bufio.NewReaderSize(strings.NewReader(text), 64), nonce: "N", limits: limits, file: -1}
		_ = p.run()
		require.LessOrEqual(t, len(p.commits), 4)
		for _, c := range p.commits {
			for _, file := range c.Files {
				require.GreaterOrEqual(t, file.Added, 0)
				for _, h := range file.Hunks {
					require.GreaterOrEqual(t, h.NewLines, 0)
					require.GreaterOrEqual(t, h.OldLines, 0)
					require.LessOrEqual(t, len(h.Added), h.NewLines)
				}
			}
		}
	})
}
