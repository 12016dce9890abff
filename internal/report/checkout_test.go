package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPathsFromTheFolderOfTheSources(t *testing.T) {
	root := Source{Root: "/work/app"}
	for _, c := range []struct {
		source     Source
		file, want string
	}{
		{root, "/work/app/cart/total.go", "cart/total.go"},
		{root, "/work/application/total.go", "/work/application/total.go"},
		{root, "/work/app", "/work/app"},
		{root, "cart/total.go", "cart/total.go"},
		{root, "./cart/total.go", "./cart/total.go"},
		{root, "", ""},
		{Source{Root: "/work/app/"}, "/work/app/cart/total.go", "cart/total.go"},
		{Source{Root: "/"}, "/usr/lib/python3/json.py", "/usr/lib/python3/json.py"},
		{Source{Root: "C:/work/app"}, `C:\work\app\src\Cart.cs`, "src/Cart.cs"},
		{Source{Root: `C:\work\app`}, "/C:/work/app/src/Cart.cs", "src/Cart.cs"},
		{Source{}, "/home/runner/work/shop/shop/cart/total.go", "cart/total.go"},
		{Source{}, "/home/runner/work/shop/shop/shop/total.py", "shop/total.py"},
		{Source{}, "/__w/shop/shop/cart/total.go", "cart/total.go"},
		{Source{}, `D:\a\shop\shop\cart\Total.cs`, "cart/Total.cs"},
		{Source{}, "/home/ada/work/notes/shop/total.go", "/home/ada/work/notes/shop/total.go"},
		{Source{}, "/var/jenkins_home/workspace/shop_main/cart/total.go", "cart/total.go"},
		{Source{}, "/home/vsts/work/1/s/cart/total.go", "cart/total.go"},
		{Source{}, "/usr/lib/python3/json.py", "/usr/lib/python3/json.py"},
		{Source{Repository: "acme/shop"}, "/builds/acme/shop/shop/total.py", "shop/total.py"},
		{Source{Repository: "acme/shop"}, "/home/ada/shop/cart/total.go", "cart/total.go"},
		{Source{Repository: "acme/shop", Root: "/work/app"}, "/builds/acme/shop/cart/total.go", "cart/total.go"},
		{Source{Repository: "acme/shop"}, "/home/ada/workshop/total.go", "/home/ada/workshop/total.go"},
	} {
		assert.Equal(t, c.want, c.source.relative(c.file), "%+v %s", c.source, c.file)
	}
	for text, want := range map[string]string{
		"at total (/work/app/cart/total.js:2:21)":  "at total (cart/total.js:2:21)",
		"/work/app/a.go and /work/app/b.go":        "a.go and b.go",
		"/home/work/app/a.go, file:///work/app/b":  "/home/work/app/a.go, file:///work/app/b",
		"cd /work/app && make, in /work/app/":      "cd /work/app && make, in ",
		"/home/work/app/work/app/a.go /work/app/b": "/home/work/app/work/app/a.go b",
	} {
		assert.Equal(t, want, root.local(text))
	}
}

// Where a checkout lies makes no finding a new one, and no test another.
func TestResultsAreTheSameInEveryCheckout(t *testing.T) {
	const sarifLog = `{"runs":[{"tool":{"driver":{"name":"vet"}},"results":[
		{"ruleId":"A","message":{"text":"ROOT/a.go leaks"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"file://ROOT/src/a.go"},"region":{"startLine":3}}}]}]}]}`
	const junit = `<testsuite name="ROOT/src/a.js"><testcase classname="ROOT/src/a" name="no-undef"><failure message="x">at f (ROOT/src/a.js:3:1)</failure></testcase></testsuite>`
	for kind, text := range map[Kind]string{SARIF: sarifLog, JUnit: junit, LCOV: "TN:\nSF:ROOT/src/a.js\nDA:1,1\nend_of_record\n"} {
		var first []Item
		for _, root := range []string{"/home/runner/work/shop/shop", "/builds/acme/shop", "/home/ada/shop"} {
			var got []Item
			_, err := Parse(strings.NewReader(strings.ReplaceAll(text, "ROOT", root)), kind, Source{Root: root}, func(i Item) error {
				got = append(got, i)
				return nil
			})
			require.NoError(t, err)
			require.NotEmpty(t, got)
			if first == nil {
				first = got
			}
			require.Equal(t, first, got)
		}
	}
}

func TestSARIFBases(t *testing.T) {
	read := func(source Source, bases, location string) (file, print string) {
		t.Helper()
		text := `{"runs":[{"tool":{"driver":{"name":"vet"}},"originalUriBaseIds":{` + bases + `},"artifacts":[{"location":` + location + `}],"results":[{"ruleId":"A","message":{"text":"x"},"locations":[{"physicalLocation":{"artifactLocation":{"index":0}}}]}]}]}`
		direct := strings.Replace(text, `"artifactLocation":{"index":0}`, `"artifactLocation":`+location, 1)
		for _, text := range []string{text, direct} {
			_, err := Parse(strings.NewReader(text), SARIF, source, func(i Item) error {
				if file != "" {
					require.Equal(t, file, i.Finding.File)
					require.Equal(t, print, i.Finding.Fingerprint)
				}
				file, print = i.Finding.File, i.Finding.Fingerprint
				return nil
			})
			require.NoError(t, err)
		}
		return file, print
	}
	_, known := read(Source{}, ``, `{"uri":"src/a.go"}`)
	for name, c := range map[string]struct {
		root, bases, location, shown string
		moved                        bool // its print is another than that of src/a.go
	}{
		"a base of which nothing is told":    {"", ``, `{"uri":"src/a.go","uriBaseId":"SRCROOT"}`, "src/a.go", false},
		"the root":                           {"", `"SRCROOT":{"uri":"file:///builds/1/"}`, `{"uri":"src/a.go","uriBaseId":"SRCROOT"}`, "src/a.go", false},
		"a whole path below the root":        {"", `"SRCROOT":{"uri":"file:///builds/1/"}`, `{"uri":"file:///builds/1/src/a.go"}`, "src/a.go", false},
		"a whole path below the known root":  {"/builds/1", `"SUB":{"uri":"file:///builds/1/cart/"}`, `{"uri":"file:///builds/1/src/a.go"}`, "src/a.go", false},
		"a folder below the root":            {"", `"SRCROOT":{"uri":"file:///builds/1/"},"SUB":{"uri":"cart/","uriBaseId":"SRCROOT"}`, `{"uri":"src/a.go","uriBaseId":"SUB"}`, "cart/src/a.go", false},
		"a folder below a root without path": {"", `"SRCROOT":{"description":{"text":"the root"}},"SUB":{"uri":"cart/","uriBaseId":"SRCROOT"}`, `{"uri":"src/a.go","uriBaseId":"SUB"}`, "cart/src/a.go", false},
		"a folder below the known root":      {"/builds/1", `"SUB":{"uri":"file:///builds/1/cart/"}`, `{"uri":"src/a.go","uriBaseId":"SUB"}`, "cart/src/a.go", false},
		"two folders, one in the other":      {"", `"SRCROOT":{"uri":"file:///builds/1/"},"SUB":{"uri":"file:///builds/1/cart/"}`, `{"uri":"file:///builds/1/cart/a.go"}`, "cart/a.go", true},
		"bases in a circle":                  {"", `"A":{"uri":"a/","uriBaseId":"B"},"B":{"uri":"b/","uriBaseId":"A"}`, `{"uri":"src/a.go","uriBaseId":"A"}`, "src/a.go", false},
		"elsewhere":                          {"/builds/1", `"SDK":{"uri":"file:///usr/include/"}`, `{"uri":"src/a.go","uriBaseId":"SDK"}`, "src/a.go", false},
	} {
		t.Run(name, func(t *testing.T) {
			file, print := read(Source{Root: c.root}, c.bases, c.location)
			require.Equal(t, c.shown, file)
			require.Equal(t, c.moved, print != known, "a path that is relative keeps its print")
		})
	}
}
