package wording

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// goPackage are what go test says of a package that never came to its tests.
var goPackage = map[string]bool{"[build failed]": true, "[setup failed]": true, "[package failed]": true}

// RunAgain is the command that runs the test once more, where its runner is known by
// its names. It is meant to be pasted, and the names come from outside.
func RunAgain(t event.TestResult) string {
	quoted := ShellQuote
	if IsOption(t.Suite) || IsOption(t.Case) || IsOption(t.File) {
		return ""
	}
	switch {
	case goPackage[t.Case]:
		return "go vet " + quoted(t.Suite)
	case t.IsJob():
		return "" // its forge runs it
	case strings.HasSuffix(t.File, ".go"), t.File == "" && strings.HasPrefix(t.Case, "Test") && strings.Contains(t.Suite, "/"):
		parts := strings.Split(t.Case, "/")
		for i, p := range parts {
			parts[i] = "^" + regexp.QuoteMeta(p) + "$"
		}
		return "go test -count=1 -run " + quoted(strings.Join(parts, "/")) + " " + quoted(t.Suite)
	}
	switch path.Ext(t.File) {
	case ".py":
		name, _, _ := strings.Cut(t.Case, "[")
		return "pytest " + quoted(t.File) + " -k " + quoted(name)
	case ".java", ".kt":
		return "mvn test " + quoted("-Dtest="+t.Suite+"#"+t.Case)
	case ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts":
		return scriptAgain(t)
	case ".rb":
		if !strings.HasSuffix(t.File, "_spec.rb") {
			return ""
		}
		return "bundle exec rspec " + quoted(t.File) + " -e " + quoted(t.Case)
	case ".php":
		method, _, _ := strings.Cut(t.Case, " with data set ")
		return "vendor/bin/phpunit --filter " + quoted("/::"+strings.ReplaceAll(regexp.QuoteMeta(method), "/", `\/`)+"( with data set .*)?$/") + " " + quoted(t.File)
	case ".rs":
		return "cargo test " + quoted(t.Case) + " -- --exact"
	case ".cs", ".fs", ".vb":
		method, _, _ := strings.Cut(t.Case, "(") // what follows are arguments
		name := method
		if t.Suite != "" && !strings.HasPrefix(method, t.Suite+".") {
			name = t.Suite + "." + method
		}
		return "dotnet test --filter " + quoted("FullyQualifiedName~"+dotnetFilter.Replace(name))
	}
	return ""
}

// dotnetFilter escapes what joins the terms of dotnet test's filters.
var dotnetFilter = strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`, "&", `\&`, "|", `\|`, "=", `\=`, "!", `\!`, "~", `\~`)

// scriptRunners are the runners of JavaScript by what of them stands in every stack,
// and their commands.
var scriptRunners = []struct{ frame, command string }{
	{"node_modules/jest-", "npx jest --runTestsByPath %s -t %s"},
	{"node_modules/vitest/", "npx vitest run %s -t %s"},
	{"node_modules/@vitest/", "npx vitest run %s -t %s"},
	{"node_modules/mocha/", "npx mocha %s -g %s"},
}

// testFile tells a file of tests from one that they call.
var testFile = regexp.MustCompile(`(?:[.\-_](?:test|spec|cy)\.\w+|(?:^|/)(?:tests?|__tests__|specs?)/.*)$`)

// scriptAgain is the command for a test in JavaScript: its suite is told by the names
// of the runner in the stack, and its file is the first in the stack that holds tests.
func scriptAgain(t event.TestResult) string {
	file := t.File
	if !testFile.MatchString(file) {
		file = t.Suite // as vitest has it
	}
	if !testFile.MatchString(file) {
		file = ""
		for _, place := range scriptPlace.FindAllStringSubmatch(t.Stacktrace, -1) {
			if testFile.MatchString(place[1]) && !strings.Contains(place[1], "node_modules/") && !IsOption(place[1]) {
				file = place[1]
				break
			}
		}
	}
	// The name as they all match it: suites and test, separated by blanks.
	name := strings.ReplaceAll(t.Case, " > ", " ")
	for _, runner := range scriptRunners {
		if file != "" && strings.Contains(t.Stacktrace, runner.frame) {
			return fmt.Sprintf(runner.command, ShellQuote(file), ShellQuote(regexp.QuoteMeta(name)))
		}
	}
	return ""
}

var scriptPlace = regexp.MustCompile(`(?m)^\s*(?:at (?:async )?(?:.*?\()?|❯ (?:\S+ )?)((?:[\w@./\\-]|:/)+\.[cm]?[jt]sx?):\d+:\d+\)?\s*$`)
