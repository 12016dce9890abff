package gitrange

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/suspect"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestHistories reads what each script in testdata/histories builds with the
// real git, and holds it against the golden file beside the script.
func TestHistories(t *testing.T) {
	lib, err := filepath.Abs("testdata/histories")
	require.NoError(t, err)
	scripts, err := filepath.Glob(filepath.Join(lib, "*", "make.sh"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(scripts), 20)
	for _, script := range scripts {
		t.Run(filepath.Base(filepath.Dir(script)), func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			cmd := exec.Command("sh", script)
			cmd.Dir, cmd.Env = path, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + path, "LIB=" + lib}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			previous := "previous"
			if text, err := os.ReadFile(filepath.Join(path, ".git", "previous")); err == nil {
				previous = strings.TrimSpace(string(text)) // a revision that the clone does not have
			}
			r, err := Open(path)
			require.NoError(t, err)
			begun := time.Now()
			got, err := r.Range(t.Context(), previous, "new", Options{})
			require.NoError(t, err)
			require.Less(t, time.Since(begun), 15*time.Second)
			ranked := suspect.Rank(suspect.Symptom{Text: "panic: boom\n\nmain.f()\n\t/src/a.txt:3 +0x1d\n"}, got.Commits, suspect.Options{})
			require.Len(t, ranked.Suspects, len(got.Commits), "whatever the history, each commit is ranked")

			sameDiffs(t, r, got.Commits)
			sameInParts(t, r, previous, got)

			golden := filepath.Join(filepath.Dir(script), "golden.txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(tell(got)), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), tell(got))
		})
	}
}

// tell is a range as a golden file holds it: without ids, which the version of
// git may change where it merges, and long lists cut.
func tell(r Result) string {
	var b bytes.Buffer
	number := map[string]string{}
	for i, c := range r.Commits {
		number[c.Revision] = fmt.Sprintf("#%d", len(r.Commits)-i)
	}
	name := func(id string) string {
		if n, ok := number[id]; ok {
			return n
		}
		return "outside"
	}
	note := r.Note
	for _, id := range []string{r.Previous, r.Base} {
		if len(id) > 12 {
			note = strings.ReplaceAll(note, id[:12], "<id>")
			note = strings.ReplaceAll(note, id[:7], "<id>")
		}
	}
	fmt.Fprintf(&b, "complete: %t\n", r.Complete)
	if note != "" {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	for _, c := range r.Commits {
		subject, _, _ := strings.Cut(c.Message, "\n")
		fmt.Fprintf(&b, "\n%s %q by %q at %s, %d bytes of a message", name(c.Revision), subject, c.Author, c.At.UTC().Format(time.DateTime), len(c.Message))
		for _, p := range c.Parents {
			fmt.Fprintf(&b, ", on %s", name(p))
		}
		for _, id := range c.Reverts {
			fmt.Fprintf(&b, ", reverts %s", name(id))
		}
		if c.PickedFrom != "" {
			fmt.Fprintf(&b, ", picked")
		}
		if c.PullURL != "" {
			fmt.Fprintf(&b, ", %s", c.PullURL)
		}
		b.WriteByte('\n')
		for i, f := range c.Files {
			if i == 12 {
				fmt.Fprintf(&b, "  … of %d files\n", len(c.Files))
				break
			}
			fmt.Fprintf(&b, "  %q", f.Path)
			if f.OldPath != "" {
				fmt.Fprintf(&b, " was %q", f.OldPath)
			}
			fmt.Fprintf(&b, " +%d -%d", f.Added, f.Removed)
			for _, flag := range []struct {
				is   bool
				name string
			}{{f.Binary, "binary"}, {f.Submodule, "submodule"}, {f.Truncated, "cut"}} {
				if flag.is {
					b.WriteString(" " + flag.name)
				}
			}
			b.WriteByte('\n')
			for k, h := range f.Hunks {
				if k == 4 {
					fmt.Fprintf(&b, "    … of %d hunks\n", len(f.Hunks))
					break
				}
				fmt.Fprintf(&b, "    -%d,%d +%d,%d %q", h.OldStart, h.OldLines, h.NewStart, h.NewLines, h.Function)
				for _, side := range []struct {
					mark  string
					lines []string
				}{{"-", h.Removed}, {"+", h.Added}} {
					if len(side.lines) > 0 {
						fmt.Fprintf(&b, " %s%.60q", side.mark, side.lines[0])
					}
				}
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}
