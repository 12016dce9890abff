package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// goTestSwitches are go test's flags that take no value of their own.
var goTestSwitches = map[string]bool{
	"a": true, "asan": true, "benchmem": true, "c": true, "cover": true, "failfast": true, "fullpath": true, "i": true, "json": true,
	"linkshared": true, "msan": true, "n": true, "race": true, "short": true, "trimpath": true, "v": true, "work": true, "x": true, "modcacherw": true,
}

// notAgain are flags that a second run of a few tests must not repeat: they choose
// tests, or would overwrite what the first run wrote.
var notAgain = map[string]bool{
	"run": true, "skip": true, "bench": true, "fuzz": true, "list": true, "count": true, "json": true, "coverprofile": true, "cover": true, "covermode": true,
	"coverpkg": true, "cpuprofile": true, "memprofile": true, "blockprofile": true, "mutexprofile": true, "trace": true, "o": true, "outputdir": true,
	"v": true, "shuffle": true, "failfast": true,
}

// choosing are those of notAgain by which a whole package is still chosen from.
var choosing = map[string]bool{"run": true, "skip": true}

// goTestAgain are the commands that run failing tests of a go test once more, one
// a package; none where it is no go test, or a failure is no test's own. Of a
// package that was cut short all runs again: nobody knows of the tests that did
// not come to their turn.
func goTestAgain(command []string, failing []event.TestResult, cut map[string]bool) [][]string {
	if !isGoTest(command) || len(failing) == 0 {
		return nil
	}
	flags, chosen, rest := goTestFlags(command[2:])
	tests := map[string][]string{}
	for _, t := range failing {
		name, _, _ := strings.Cut(t.Case, "/")
		if t.Suite == "" || strings.HasPrefix(t.Suite, "-") || t.IsJob() {
			continue
		}
		if pattern := "^" + regexp.QuoteMeta(name) + "$"; !slices.Contains(tests[t.Suite], pattern) {
			tests[t.Suite] = append(tests[t.Suite], pattern)
		}
	}
	var commands [][]string
	for _, suite := range slices.Sorted(maps.Keys(tests)) {
		which := []string{"-run", strings.Join(tests[suite], "|")}
		if cut[suite] {
			which = chosen
		}
		commands = append(commands, slices.Concat(command[:2], flags, []string{"-json", "-count=1"}, which, []string{suite}, rest))
	}
	return commands
}

// failsFast: the first failure keeps all that comes after it, in every package,
// from running.
func failsFast(command []string) bool {
	if !isGoTest(command) {
		return false
	}
	for _, argument := range slices.Concat(command[2:], strings.Fields(os.Getenv("GOFLAGS"))) {
		switch name, value, valued := strings.Cut(strings.TrimLeft(argument, "-"), "="); {
		case argument == "-args" || argument == "--args":
			return false
		case strings.HasPrefix(argument, "-") && strings.TrimPrefix(name, "test.") == "failfast":
			if on, err := strconv.ParseBool(value); !valued || err != nil || on {
				return true
			}
		}
	}
	return false
}

// goTestFlags are a go test's flags that hold for a second run, without packages,
// those that choose tests, and what it gives to the test binary.
func goTestFlags(arguments []string) (flags, chosen, rest []string) {
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		if argument == "-args" || argument == "--args" {
			return flags, chosen, arguments[i:]
		}
		name, _, valued := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !strings.HasPrefix(argument, "-") {
			continue // a package
		}
		name = strings.TrimPrefix(name, "test.")
		takesNext := !valued && !goTestSwitches[name] && i+1 < len(arguments)
		words := arguments[i : i+1]
		if takesNext {
			i++
			words = arguments[i-1 : i+1]
		}
		switch {
		case choosing[name]:
			chosen = append(chosen, words...)
		case !notAgain[name]:
			flags = append(flags, words...)
		}
	}
	return flags, chosen, nil
}
