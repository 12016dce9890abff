package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// What tools make of SARIF's freedom, one case each: the findings, and what is named
// as not read.
func TestSARIFEdges(t *testing.T) {
	rules := `"tool":{"driver":{"name":"vet","rules":[{"id":"R1","defaultConfiguration":{"level":"error"}},{"id":"R2"}]},
		"extensions":[{"name":"more","rules":[{"id":"X1","defaultConfiguration":{"level":"note"}},{"id":"X2","shortDescription":{"text":"of the extension"}}]}]}`
	for name, c := range map[string]struct {
		text       string
		want       []event.Finding // without fingerprints
		suppressed int
		problems   []string
	}{
		"a run without a tool": {
			`{"runs":[{"results":[{"ruleId":"A","message":{"text":"x"}}]}]}`,
			[]event.Finding{{Tool: "(no tool)", Rule: "A", Level: "warning", Message: "x"}}, 0, nil,
		},
		"a tool after its results": {
			`{"runs":[{"results":[{"ruleId":"R1","message":{"text":"x"}}],` + rules + `}]}`,
			[]event.Finding{{Tool: "vet", Rule: "R1", Level: "error", Message: "x"}}, 0, nil,
		},
		"keys in the order of the alphabet, and in the other": {
			`{"runs":[{"artifacts":[{"location":{"uri":"a.go"}}],"results":[{"message":{"text":"x"},"locations":[{"physicalLocation":{"artifactLocation":{"index":0}}}],"rule":{"index":1,"toolComponent":{"index":0}}}],` + rules + `},
			{"results":[{"ruleIndex":0,"message":{"text":"y"},"locations":[{"physicalLocation":{"artifactLocation":{"index":0}}}]}],` + rules + `,"artifacts":[{"location":{"uri":"b.go"}}]}]}`,
			[]event.Finding{{Tool: "vet", Rule: "X2", Level: "warning", File: "a.go", Message: "x"}, {Tool: "vet", Rule: "R1", Level: "error", File: "b.go", Message: "y"}}, 0, nil,
		},
		"a tool that never comes": {
			`{"runs":[{"results":[{"ruleId":"R1","message":{"text":"x"}}],`,
			[]event.Finding{{Tool: "(no tool)", Rule: "R1", Level: "warning", Message: "x"}}, 0,
			[]string{"it ends within a value, after 61 bytes: it is cut off; what came after it was not read"},
		},
		"levels by rule, by kind and by the result itself": {
			`{"runs":[{` + rules + `,"results":[{"ruleId":"R1","message":{"text":"a"}},{"ruleId":"R2","message":{"text":"b"}},{"ruleId":"R1","kind":"review","message":{"text":"c"}},{"ruleId":"R1","level":"note","message":{"text":"d"}}]}]}`,
			[]event.Finding{
				{Tool: "vet", Rule: "R1", Level: "error", Message: "a"}, {Tool: "vet", Rule: "R2", Level: "warning", Message: "b"},
				{Tool: "vet", Rule: "R1", Level: "none", Message: "c"}, {Tool: "vet", Rule: "R1", Level: "note", Message: "d"},
			}, 0, nil,
		},
		"levels that the run was asked for": {
			`{"runs":[{` + rules + `,"invocations":[{"executionSuccessful":true,"ruleConfigurationOverrides":[{"descriptor":{"id":"R1"},"configuration":{"level":"note"}},{"descriptor":{"index":1},"configuration":{"level":"error"}}]}],
			"results":[{"ruleId":"R1","message":{"text":"a"}},{"ruleIndex":1,"message":{"text":"b"}}]}]}`,
			[]event.Finding{{Tool: "vet", Rule: "R1", Level: "note", Message: "a"}, {Tool: "vet", Rule: "R2", Level: "error", Message: "b"}}, 0, nil,
		},
		"rules of an extension, and a part of a rule": {
			`{"runs":[{` + rules + `,"results":[{"rule":{"index":1,"toolComponent":{"index":0}}},{"rule":{"id":"X1","index":0,"toolComponent":{"index":0}},"message":{"text":"b"}},{"ruleId":"R1/3","message":{"text":"c"}}]}]}`,
			[]event.Finding{
				{Tool: "vet", Rule: "X2", Level: "warning", Message: "of the extension"}, {Tool: "vet", Rule: "X1", Level: "note", Message: "b"},
				{Tool: "vet", Rule: "R1/3", Level: "error", Message: "c"},
			}, 0, nil,
		},
		"artifacts by index, before and after": {
			`{"runs":[{"artifacts":[{"location":{"uri":"file:///src/a.go"}},{"location":{"uri":"b%20c.go"}}],"results":[
				{"ruleId":"A","locations":[{"physicalLocation":{"artifactLocation":{"index":1},"region":{"startLine":3}}}]},
				{"ruleId":"A","locations":[{"logicalLocations":[{"name":"f"}]},{"physicalLocation":{"artifactLocation":{"index":0}}}]}]},
			{"tool":{"driver":{"name":"vet"}},"results":[{"ruleId":"A","locations":[{"physicalLocation":{"artifactLocation":{"index":0}}}]}],"artifacts":[{"location":{"uri":"late.go"}}]}]}`,
			[]event.Finding{
				{Tool: "(no tool)", Rule: "A", Level: "warning", File: "b c.go", Line: 3}, {Tool: "(no tool)", Rule: "A", Level: "warning", File: "/src/a.go"},
				{Tool: "vet", Rule: "A", Level: "warning"},
			}, 0,
			[]string{"a run lists its artifacts after its results: of 1 results the file is not known"},
		},
		"the target stands in for a place": {
			`{"runs":[{"results":[{"ruleId":"A","analysisTarget":{"uri":"a.go"},"message":{"text":"x"}}]}]}`,
			[]event.Finding{{Tool: "(no tool)", Rule: "A", Level: "warning", File: "a.go", Message: "x"}}, 0, nil,
		},
		"baseline states": {
			`{"runs":[{"results":[{"ruleId":"A","baselineState":"new"},{"ruleId":"B","baselineState":"unchanged"},{"ruleId":"C","baselineState":"updated"},{"ruleId":"D","baselineState":"absent"}]}]}`,
			[]event.Finding{{Tool: "(no tool)", Rule: "A", Level: "warning"}, {Tool: "(no tool)", Rule: "B", Level: "warning"}, {Tool: "(no tool)", Rule: "C", Level: "warning"}}, 1, nil,
		},
		"suppressions": {
			`{"runs":[{"results":[{"ruleId":"A","suppressions":[]},{"ruleId":"B","suppressions":[{"kind":"inSource"}]},{"ruleId":"C","suppressions":[{"kind":"external","status":"underReview"}]},{"ruleId":"D","suppressions":[{"kind":"external","status":"rejected"},{"kind":"external","status":"accepted"}]}]}]}`,
			[]event.Finding{{Tool: "(no tool)", Rule: "A", Level: "warning"}, {Tool: "(no tool)", Rule: "C", Level: "warning"}}, 2, nil,
		},
		"taxa, and results that passed": {
			`{"runs":[{` + rules + `,"taxonomies":[{"name":"CWE","taxa":[{"id":"R1","defaultConfiguration":{"level":"none"}}]}],"results":[{"ruleId":"R1","taxa":[{"id":"79","index":0,"toolComponent":{"name":"CWE"}}],"message":{"text":"a"}},{"ruleId":"R1","kind":"pass"},{"ruleId":"R1","kind":"notApplicable"}]}]}`,
			[]event.Finding{{Tool: "vet", Rule: "R1", Level: "error", Message: "a"}}, 2, nil,
		},
		"each run has its own tool and rules": {
			`{"runs":[{` + rules + `,"results":[{"ruleIndex":0,"message":{"text":"a"}}]},{"tool":{"driver":{"name":"lint","rules":[{"id":"L1"}]}},"results":[{"ruleIndex":0,"message":{"text":"b"}},{"ruleIndex":7,"message":{"text":"c"}}]},{"tool":{"driver":{"name":"empty"}}}]}`,
			[]event.Finding{
				{Tool: "vet", Rule: "R1", Level: "error", Message: "a"}, {Tool: "lint", Rule: "L1", Level: "warning", Message: "b"},
				{Tool: "lint", Rule: "(no rule)", Level: "warning", Message: "c"},
			}, 0, nil,
		},
		"results that are elsewhere": {
			`{"inlineExternalProperties":[{"results":[{"ruleId":"A"}]}],"runs":[{"externalPropertyFileReferences":{"results":[{"location":{"uri":"r.sarif-external-properties"},"itemCount":7}]},"results":[{"ruleId":"B"}]}]}`,
			[]event.Finding{{Tool: "(no tool)", Rule: "B", Level: "warning"}}, 0,
			[]string{
				"inlineExternalProperties were not read: the results in them are missing",
				"results of a run are in external property files, which were not read: inline them, or send these too",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			items, sum, err := all(t, SARIF, c.text)
			require.NoError(t, err)
			require.Equal(t, c.suppressed, sum.Suppressed)
			require.Equal(t, c.problems, sum.Problems)
			var got []event.Finding
			for _, i := range items {
				f := *i.Finding
				require.NotEmpty(t, f.Fingerprint)
				f.Fingerprint = ""
				got = append(got, f)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// A finding is the same one in another run by the tool's own print, else by what it
// says and in which file: not by its line.
func TestSARIFFingerprints(t *testing.T) {
	print := func(result string) string {
		items, _, err := all(t, SARIF, `{"runs":[{"tool":{"driver":{"name":"vet"}},"results":[`+result+`]}]}`)
		require.NoError(t, err)
		return items[0].Finding.Fingerprint
	}
	at := func(line string) string {
		return `"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":` + line + `}}}]`
	}
	plain := print(`{"ruleId":"A","message":{"text":"x leaks"},` + at("3") + `}`)
	require.Equal(t, plain, print(`{"ruleId":"A","message":{"text":"x leaks"},`+at("30")+`}`), "it moved")
	require.NotEqual(t, plain, print(`{"ruleId":"B","message":{"text":"x leaks"},`+at("3")+`}`))
	require.NotEqual(t, plain, print(`{"ruleId":"A","message":{"text":"y leaks"},`+at("3")+`}`))

	own := print(`{"ruleId":"A","message":{"text":"x"},"partialFingerprints":{"primaryLocationLineHash":"39fa2ee980eb94b0:1","primaryLocationStartColumnFingerprint":"4"},` + at("3") + `}`)
	require.Equal(t, own, print(`{"ruleId":"A","message":{"text":"reworded"},"partialFingerprints":{"primaryLocationLineHash":"39fa2ee980eb94b0:1","primaryLocationStartColumnFingerprint":"9"},`+at("7")+`}`))
	require.NotEqual(t, own, print(`{"ruleId":"A","message":{"text":"x"},"partialFingerprints":{"primaryLocationLineHash":"39fa2ee980eb94b0:2"},`+at("3")+`}`), "the second of two like lines")
	require.Equal(t, print(`{"ruleId":"A","fingerprints":{"v1":"a","v2":"b"}}`), print(`{"ruleId":"A","fingerprints":{"v2":"b"}}`), "the newest print counts")
}

// Rules beyond what is remembered are counted, and none stands in for another.
func TestSARIFRulesAreBounded(t *testing.T) {
	many := strings.Repeat(`{"id":"R","defaultConfiguration":{"level":"note"}},`, maxRules) + `{"id":"D","defaultConfiguration":{"level":"error"}}`
	large := strings.Repeat(`{"shortDescription":{"text":"`+strings.Repeat("x", maxMessage)+`"}},`, maxRuleBytes/maxMessage) + `{"id":"D","shortDescription":{"text":"small"}}`
	for name, rules := range map[string]string{"many": many, "large": large} {
		t.Run(name, func(t *testing.T) {
			items, sum, err := all(t, SARIF, `{"runs":[{"tool":{"driver":{"name":"vet","rules":[`+rules+`]},"extensions":[{"rules":[{"id":"X","defaultConfiguration":{"level":"error"}}]}]},
				"results":[{"ruleId":"D","message":{"text":"a"}},{"ruleId":"X","message":{"text":"b"}},{"rule":{"index":0,"toolComponent":{"index":0}},"message":{"text":"c"}}]}]}`)
			require.NoError(t, err)
			require.Len(t, items, 3)
			for i, rule := range []string{"D", "X", "(no rule)"} {
				require.Equal(t, rule, items[i].Finding.Rule)
				require.Equal(t, "warning", items[i].Finding.Level)
			}
			require.Len(t, sum.Problems, 1)
			require.Regexp(t, `a run has more than 50000 rules or 16 MiB of them: [1-9]\d* were left out`, sum.Problems[0])
		})
	}
}

// Results that wait for their tool are bounded: further ones are told without it.
func TestSARIFResultsThatWaitAreBounded(t *testing.T) {
	many := strings.Repeat(`{"ruleId":"A","message":{"text":"x"}},`, maxHeldResults) + `{"ruleId":"B"}`
	items, sum, err := all(t, SARIF, `{"runs":[{"results":[`+many+`],"tool":{"driver":{"name":"vet"}}}]}`)
	require.NoError(t, err)
	require.Len(t, items, maxHeldResults+1)
	tools := map[string]int{}
	for _, i := range items {
		tools[i.Finding.Tool]++
	}
	require.Positive(t, tools["(no tool)"])
	require.Positive(t, tools["vet"])
	require.Len(t, sum.Problems, 1)
	require.Regexp(t, `a run names its tool after its results: beyond 50000 of them or 16 MiB, [1-9]\d* were read without tool and rules`, sum.Problems[0])
}

// A tool that found nothing ran all the same, where the log says so and is whole.
func TestSARIFToolsThatRan(t *testing.T) {
	vet := `"tool":{"driver":{"name":"vet"}}`
	for name, c := range map[string]struct {
		text     string
		want     []string
		problems int
		broken   bool
	}{
		"found nothing":               {`{"runs":[{` + vet + `,"results":[]}]}`, []string{"vet"}, 0, false},
		"found something":             {`{"runs":[{` + vet + `,"results":[{"ruleId":"A"}]}]}`, []string{"vet"}, 0, false},
		"each run":                    {`{"runs":[{` + vet + `,"results":[]},{"tool":{"driver":{"name":"lint"}},"results":[]},{` + vet + `,"results":[]}]}`, []string{"vet", "lint"}, 0, false},
		"named after its results":     {`{"runs":[{"results":[],` + vet + `}]}`, []string{"vet"}, 0, false},
		"named after its findings":    {`{"runs":[{"results":[{"ruleId":"A"}],` + vet + `}]}`, []string{"vet"}, 0, false},
		"succeeded, as it says":       {`{"runs":[{` + vet + `,"invocations":[{"executionSuccessful":true}],"results":[]}]}`, []string{"vet"}, 0, false},
		"failed, as it says":          {`{"runs":[{` + vet + `,"invocations":[{"executionSuccessful":false}],"results":[]}]}`, nil, 1, false},
		"failed after its results":    {`{"runs":[{` + vet + `,"results":[],"invocations":[{"executionSuccessful":false}]}]}`, nil, 1, false},
		"could not begin":             {`{"runs":[{` + vet + `,"results":null}]}`, nil, 0, false},
		"tells its rules only":        {`{"runs":[{` + vet + `}]}`, nil, 0, false},
		"results elsewhere":           {`{"runs":[{` + vet + `,"externalPropertyFileReferences":{"results":[{"location":{"uri":"r"}}]},"results":[]}]}`, nil, 1, false},
		"cut within the second run":   {`{"runs":[{` + vet + `,"results":[]},{"tool":{"driver":{"name":"lint"}},"results":[`, nil, 0, true},
		"cut behind the last results": {`{"runs":[{` + vet + `,"results":[]`, nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, sum, err := all(t, SARIF, c.text)
			require.Equal(t, c.broken, err != nil)
			require.Equal(t, c.want, sum.Tools)
			require.Len(t, sum.Problems, c.problems)
		})
	}
}
