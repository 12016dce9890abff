package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// The shop's tests, of which its CI reports each result.
const (
	testSuite = "acme/shop"
	flakyTest = "TestCatalogueIsCached"
	moneyTest = "TestAmountsAreCents/" // and a file
)

// catalogue is what one of the tests asks too early: it fills when it is asked
// first. So in every run that test fails, and passes when it is tried again.
type catalogue struct{ filled bool }

func (c *catalogue) cached() bool {
	was := c.filled
	c.filled = true
	return was
}

// runTests runs the shop's tests on a commit, and one that fails once more, as the
// job's runner has it. Each result is reported as it comes.
func (c *collector) runTests(ctx context.Context, commit *object.Commit, run ciRun) (passed bool, err error) {
	passed = true
	tell := func(t event.TestResult) error {
		t.Suite, t.At = testSuite, time.Now()
		return c.report(ctx, run, t)
	}
	files, err := commit.Files()
	if err != nil {
		return false, err
	}
	err = files.ForEach(func(f *object.File) error {
		if path.Ext(f.Name) != ".go" {
			return nil
		}
		text, err := f.Contents()
		if err != nil {
			return err
		}
		t := event.TestResult{Case: moneyTest + f.Name, Status: "pass"}
		if t.Message, t.Line = inexactAmount(text); t.Message != "" {
			t.Status, t.File, passed = "fail", f.Name, false
		}
		return tell(t)
	})
	if err != nil {
		return false, err
	}
	var warming catalogue
	for range 2 {
		t := event.TestResult{Case: flakyTest, Status: "pass"}
		if !warming.cached() {
			t.Status, t.Message = "fail", "the catalogue came from the database, not from the cache"
		}
		if err := tell(t); err != nil {
			return false, err
		}
	}
	return passed, nil
}

// inexactAmount names the first amount of money in a Go file that is a float, and
// its line: cents that are added up must not be rounded on the way.
func inexactAmount(text string) (message string, line int) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", text, 0)
	if err != nil {
		return err.Error(), 1
	}
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || message != "" {
			return message == ""
		}
		if kind, ok := field.Type.(*ast.Ident); !ok || !strings.HasPrefix(kind.Name, "float") {
			return true
		}
		for _, name := range field.Names {
			if name.Name == "total" || name.Name == "price" || name.Name == "cents" {
				message, line = name.Name+" is a float64; money is counted in cents, as int64", set.Position(name.Pos()).Line
			}
		}
		return true
	})
	return message, line
}

// report posts one result, as `deployloop run` does.
func (c *collector) report(ctx context.Context, run ciRun, t event.TestResult) error {
	line, err := json.Marshal(report.Event{Test: &t})
	if err != nil {
		return err
	}
	query := url.Values{"kind": {string(report.Events)}, "repository": {repositoryName}, "ref": {run.branch}, "revision": {run.revision}, "run_id": {fmt.Sprint(run.of)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cicd+"/v1/reports?"+query.Encode(), bytes.NewReader(line))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	return c.do(request, nil)
}

// feedbackOf is what builds and tests say of a commit so far.
func (c *collector) feedbackOf(ctx context.Context, revision string) (event.Feedback, error) {
	var answer struct {
		Feedback []event.Feedback `json:"feedback"`
	}
	err := c.get(ctx, "/api/v1/feedback?revision="+revision, &answer)
	if err != nil || len(answer.Feedback) == 0 {
		return event.Feedback{}, err
	}
	return answer.Feedback[0], nil
}
