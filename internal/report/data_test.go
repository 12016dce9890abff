package report

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// reports is the folder of recorded reports; the data is not in the repository.
func reports(t testing.TB) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		found := filepath.Join(filepath.Dir(dir), "shared", "data", "reports")
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	t.Skip("the recorded reports (../shared/data/reports beside the repository) are not here")
	return ""
}

// all parses text and collects what it says.
func all(t testing.TB, kind Kind, text string) ([]Item, Summary, error) {
	var items []Item
	sum, err := Parse(strings.NewReader(text), kind, Source{}, func(i Item) error {
		if i.Cut == "" { // which is no result
			items = append(items, i)
		}
		return nil
	})
	require.Equal(t, len(items)+sum.Suppressed, sum.Items())
	return items, sum, err
}

func testsOf(items []Item) []event.TestResult {
	var tests []event.TestResult
	for _, i := range items {
		if i.Test != nil {
			tests = append(tests, *i.Test)
		}
	}
	return tests
}

var update = flag.Bool("update", false, "write testdata/recorded.txt anew")

// TestRecordedReports reads every recorded file: testdata/recorded.txt has a line for
// each, with what it says, or exactly why it says nothing.
func TestRecordedReports(t *testing.T) {
	root := reports(t)
	read, refused := 0, 0
	var list strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name, err := filepath.Rel(root, path)
		require.NoError(t, err)
		name = filepath.ToSlash(name)
		_, sum, err := all(t, "", string(text))
		if err != nil {
			refused++
			require.NotContains(t, name, "junit/examples", "%v", err)
			require.NotContains(t, name, "-report.xml", "%v", err)
			fmt.Fprintf(&list, "%s: %v\n", name, err)
			return nil
		}
		read++
		fmt.Fprintf(&list, "%s: %s", name, sum.Kind)
		for _, n := range []struct {
			many string
			n    int
		}{
			{"tests", sum.Tests}, {"of them failed", sum.Failures}, {"findings", sum.Findings}, {"suppressed", sum.Suppressed},
			{"files covered", sum.Coverage}, {"measurements", sum.Benchmarks}, {"runs", sum.Runs},
		} {
			if n.n > 0 {
				fmt.Fprintf(&list, ", %d %s", n.n, n.many)
			}
		}
		if sum.Items() == 0 {
			list.WriteString(", nothing in it")
		}
		for _, p := range sum.Problems {
			fmt.Fprintf(&list, "; %s", p)
		}
		list.WriteByte('\n')
		return nil
	}))
	t.Logf("read %d, refused %d", read, refused)
	require.Greater(t, read, 100)
	const golden = "testdata/recorded.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(list.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), list.String())
}

// TestGoTestAgreesWithGoJUnitReport compares what is read from the output of go
// test with what go-junit-report made of the same output.
func TestGoTestAgreesWithGoJUnitReport(t *testing.T) {
	outputs, err := filepath.Glob(filepath.Join(reports(t), "gotest", "*.txt"))
	require.NoError(t, err)
	require.Greater(t, len(outputs), 40)
	for _, path := range outputs {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			oracle, err := os.ReadFile(filepath.Join(filepath.Dir(path), name[:3]+"-report.xml"))
			require.NoError(t, err)
			kind := GoTest
			if strings.Contains(name, "gojson") {
				kind = GoTestJSON
			}
			got, sum, err := all(t, kind, string(text))
			require.NoError(t, err)
			want, _, err := all(t, JUnit, string(oracle))
			require.NoError(t, err)
			if told := map[string]string{
				"007-compiled_test.txt": "test/package",             // given to go-junit-report by a flag
				"038-test-pkg-name.txt": "package/testpkg/pkg_test", // of the compiler; go test names the package
			}[name]; told != "" {
				for _, i := range got {
					i.Test.Suite = told
				}
			}
			require.Equal(t, outcomes(want), outcomes(got), "problems %q", sum.Problems)
		})
	}
}

// outcomes are status, package and name of each test, apart from what the two
// name differently: benchmarks, which here are values, and the stand-in for a
// package that failed outside its tests.
func outcomes(items []Item) []string {
	var list []string
	for _, t := range testsOf(items) {
		if strings.HasPrefix(t.Case, "Benchmark") && t.Status == pass {
			continue
		}
		status := t.Status
		if status == erred {
			status = fail
		}
		name := t.Case
		if strings.HasPrefix(name, "[") || name == "Failure" || name == "TestMain" || name == "" {
			name = "(package)"
		}
		list = append(list, status+" "+t.Suite+" "+name)
	}
	slices.Sort(list)
	return list
}

func FuzzParse(f *testing.F) {
	root := reports(f)
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if info, statErr := entry.Info(); err == nil && statErr == nil && !entry.IsDir() && info.Size() < 4096 {
			text, _ := os.ReadFile(path)
			for i := range Kinds() {
				if _, ok := map[int]bool{0: true, 1: true, 2: true, 3: true}[i]; ok && detect(text) == Kinds()[i] {
					f.Add(uint8(i), text)
				}
			}
		}
		return nil
	})
	f.Add(uint8(4), []byte("mode: set\na/b.go:1.2,3.4 2 1\n"))
	f.Add(uint8(5), []byte(`<coverage><class filename="a"><line hits="1"/></class></coverage>`))
	f.Add(uint8(6), []byte("SF:a\nDA:1,1\nend_of_record\n"))
	f.Add(uint8(7), []byte(`[{"name":"a","value":1,"unit":"ns"}]`))
	f.Add(uint8(8), []byte(`{"test":{"case":"a","status":"pass"}}`))
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		for _, k := range []Kind{"", Kinds()[int(kind)%len(Kinds())]} {
			n := 0
			sum, err := Parse(bytes.NewReader(text), k, Source{}, func(i Item) error {
				if i.Cut == "" { // which is no result
					n++
				}
				if i.Test != nil {
					require.LessOrEqual(t, len(i.Test.Stacktrace), maxStack+2)
					require.NotEmpty(t, i.Test.Case)
					require.Contains(t, []string{pass, fail, skip, erred}, i.Test.Status)
				}
				return nil
			})
			require.Equal(t, n+sum.Suppressed, sum.Items())
			if err != nil {
				require.Zero(t, n, "what was read is no error: %v", err)
			}
		}
	})
}
