package logpattern

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sharedData finds ../shared/data beside the repository by walking up.
func sharedData(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	require.NoError(tb, err)
	for ; ; dir = filepath.Dir(dir) {
		p := filepath.Join(dir, "shared", "data", name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
		if dir == filepath.Dir(dir) {
			tb.Skipf("no shared/data/%s beside the repository: the recorded logs are not part of it", name)
		}
	}
}

type labelled struct{ content, event string }

func loghub(tb testing.TB, system string) []labelled {
	tb.Helper()
	f, err := os.Open(filepath.Join(sharedData(tb, "log-templates"), system, system+"_2k.log_structured.csv"))
	require.NoError(tb, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(tb, err)
	content, id := -1, -1
	for i, h := range rows[0] {
		switch h {
		case "Content":
			content = i
		case "EventId":
			id = i
		}
	}
	lines := make([]labelled, 0, len(rows)-1)
	for _, r := range rows[1:] {
		lines = append(lines, labelled{r[content], r[id]})
	}
	return lines
}

var systems = []string{"Android", "Apache", "BGL", "HDFS", "HPC", "Hadoop", "HealthApp", "Linux"}

// floors are a little below what was measured, so that no system pays for another.
var floors = map[string]float64{
	"Android": .91, "Apache": 1, "BGL": .97, "HDFS": .99, "HPC": .89, "Hadoop": .95, "HealthApp": .99, "Linux": .68,
}

// groupingAccuracy is the share of lines whose group holds exactly the lines
// of their true event (Zhu et al. 2019).
func groupingAccuracy(truth []string, got []uint64) float64 {
	inTruth, inGot, inBoth := map[string]int{}, map[uint64]int{}, map[[2]any]int{}
	for i := range truth {
		inTruth[truth[i]]++
		inGot[got[i]]++
		inBoth[[2]any{truth[i], got[i]}]++
	}
	right := 0
	for i := range truth {
		both := inBoth[[2]any{truth[i], got[i]}]
		if both == inTruth[truth[i]] && both == inGot[got[i]] {
			right++
		}
	}
	return float64(right) / float64(len(truth))
}

// TestGroupingAccuracy streams eight recorded systems through one set of
// options; each line keeps the group it was given when it came.
func TestGroupingAccuracy(t *testing.T) {
	sum := 0.0
	for _, system := range systems {
		m := NewMiner(Options{})
		var truth []string
		var got []uint64
		for _, l := range loghub(t, system) {
			tmpl, _ := m.Add(l.content)
			truth, got = append(truth, l.event), append(got, tmpl.Key())
		}
		ga := groupingAccuracy(truth, got)
		sum += ga
		require.GreaterOrEqual(t, ga, floors[system], system)
		t.Logf("%-10s grouping accuracy %.3f, %d templates", system, ga, m.Len())
	}
	mean := sum / float64(len(systems))
	t.Logf("%-10s grouping accuracy %.3f", "mean", mean)
	require.GreaterOrEqual(t, mean, 0.92)
}

func TestMask(t *testing.T) {
	for line, want := range map[string]string{
		"GET /users/42/orders/9f8e7d6c5b took 12.5ms":                           "GET /users/<*>/orders/<*> took <*>ms",
		"2026-11-23T10:00:00.123Z user 7f3c2a10-9b1d-4c55-8e21-aabbccddeeff in": "<*>Z user <*> in",
		"from 10.0.0.1:5432, offset -17, 0xdeadbeef":                            "from <*>, offset <*>, <*>",
		`open "/etc/some file" failed`:                                          "open <*> failed",
		"jk2_init() v1.2 blk_-38865049064139660":                                "jk<*>_init() v<*> blk_-<*>",
		"don't panic, it's fine":                                                "don't panic, it's fine",
		"käse für 3 € 日本":                                                       "käse für <*> € 日本",
	} {
		require.Equal(t, want, Mask(line), line)
	}
}

func TestMinerForgetsTheLeastRecentlySeen(t *testing.T) {
	m := NewMiner(Options{MaxTemplates: 50})
	kept, _ := m.Add("the one that keeps coming back")
	id := kept.Key()
	for i := range 5000 {
		m.Add(fmt.Sprintf("%s unlike %s any %s other", words(i), words(i*7), words(i*13)))
		got, isNew := m.Add("the one that keeps coming back")
		require.False(t, isNew)
		require.Equal(t, id, got.Key())
		require.LessOrEqual(t, m.Len(), 50)
		require.LessOrEqual(t, len(m.exact), 4*50)
	}
	require.NotZero(t, m.Forgotten())
	require.LessOrEqual(t, count(&m.root), 51*4, "the tree's branches go with their templates")
}

// words spells a number in letters, so that no mask hides it.
func words(i int) string {
	s := []byte("x")
	for ; i > 0; i /= 20 {
		s = append(s, "ghijklmnopqrstuvwxyz"[i%20])
	}
	return string(s)
}

func count(n *node) int {
	sum := 1
	for _, c := range n.children {
		sum += count(c)
	}
	return sum
}

func TestSnapshotKeepsIdentity(t *testing.T) {
	for _, system := range systems {
		before := NewMiner(Options{})
		lines := loghub(t, system)
		for _, l := range lines {
			before.Add(l.content)
		}
		after := NewMiner(Options{})
		after.Restore(before.Snapshot())
		require.Equal(t, before.Len(), after.Len())
		for _, l := range lines {
			a, _ := before.Add(l.content)
			b, isNew := after.Add(l.content)
			require.Falsef(t, isNew, "%s: %q", system, l.content)
			if a.Text() == b.Text() {
				require.Equal(t, a.Key(), b.Key(), l.content)
			}
		}
	}
	m := NewMiner(Options{})
	m.Restore([]Known{{}, {ID: 3}, {ID: 1, Words: []string{"a"}}, {ID: 1, Words: []string{"b"}}})
	require.Equal(t, 1, m.Len())
}

func FuzzMiner(f *testing.F) {
	f.Add("GET /users/42 took 12.5ms\n\"quoted text\" 0x1f {a=b}")
	f.Add("\x00\xff '\" -1 ---- ____ ::::")
	f.Fuzz(func(t *testing.T, line string) {
		m := NewMiner(Options{MaxTemplates: 4})
		a, _ := m.Add(line)
		b, isNew := m.Add(line)
		if a != b || isNew && b != nil {
			t.Fatalf("%q is two templates", line)
		}
		if a != nil {
			_ = a.Text()
		}
	})
}

func BenchmarkMiner(b *testing.B) {
	for _, system := range []string{"Android", "Hadoop", "HDFS", "Linux"} {
		b.Run(system, func(b *testing.B) {
			lines := loghub(b, system)
			m := NewMiner(Options{})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Add(lines[i%len(lines)].content)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
