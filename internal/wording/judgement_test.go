package wording

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestCommandToRunAgainIsSafeToPaste(t *testing.T) {
	require.Equal(t, `go test -count=1 -run '^Test'\''; rm -rf ~$/^a$' acme/cart`, strings.ReplaceAll(RunAgain(event.TestResult{Suite: "acme/cart", Case: "Test'; rm -rf ~/a", File: "a_test.go"}), `\\`, ``))
	require.Equal(t, "go vet acme/cart", RunAgain(event.TestResult{Suite: "acme/cart", Case: "[build failed]"}))
	require.Empty(t, RunAgain(event.TestResult{Suite: "CI", Case: "[lint]"}), "a job has no command")
	require.Empty(t, RunAgain(event.TestResult{Suite: "-toolexec=reboot", Case: "[build failed]"}), "quoting does not help against an option")
	for _, unseen := range []string{"\x00", "\u200b", "\xff", "\x1b \n"} {
		require.Empty(t, RunAgain(event.TestResult{Suite: unseen + "-toolexec=reboot", Case: "[build failed]"}), "nor against one behind what is left out of a command: %q", unseen)
	}
}

func TestCommandsToRunAgain(t *testing.T) {
	jest := "Error: expect(received).toBe(expected)\n    at Object.toBe (cart/total.test.js:5:20)\n    at Promise.then.completed (node_modules/jest-circus/build/utils.js:298:28)"
	vitest := "AssertionError: expected 3 to be 4\n ❯ cart/total.test.ts:5:20\n    at file:///work/app/node_modules/@vitest/runner/dist/index.js:135:14"
	mocha := "AssertionError: 3 == 4\n    at total (cart/total.js:2:3)\n    at Context.<anonymous> (test/cart.js:5:12)\n    at callFn (node_modules/mocha/lib/runnable.js:366:21)"
	for want, test := range map[string]event.TestResult{
		`npx jest --runTestsByPath cart/total.test.js -t 'cart adds up \(€ 3\.00\)'`:                {Suite: "cart adds up (€ 3.00)", Case: "cart adds up (€ 3.00)", File: "cart/total.test.js", Stacktrace: jest},
		`npx vitest run cart/total.test.ts -t 'cart adds up'`:                                       {Suite: "cart/total.test.ts", Case: "cart > adds up", File: "cart/total.ts", Stacktrace: vitest},
		`npx mocha test/cart.js -g 'adds up'`:                                                       {Suite: "cart", Case: "adds up", File: "cart/total.js", Stacktrace: mocha},
		`bundle exec rspec ./spec/cart_spec.rb -e 'Cart adds up'`:                                   {Suite: "spec.cart_spec", Case: "Cart adds up", File: "./spec/cart_spec.rb"},
		`vendor/bin/phpunit --filter '/::testTotal( with data set .*)?$/' tests/CartTest.php`:       {Suite: "Acme.CartTest", Case: `testTotal with data set "free"`, File: "tests/CartTest.php"},
		`cargo test tests::sums -- --exact`:                                                         {Suite: "cart", Case: "tests::sums", File: "src/lib.rs"},
		`dotnet test --filter 'FullyQualifiedName~Acme.CartTest.Total'`:                             {Suite: "Acme.CartTest", Case: "Total(price: 3)", File: "CartTest.cs"},
		`dotnet test --filter 'FullyQualifiedName~Acme.CartTest.A\|B'`:                              {Suite: "Acme.CartTest", Case: "Acme.CartTest.A|B", File: "CartTest.cs"},
		`pytest tests/test_cart.py -k test_total`:                                                   {Suite: "tests.test_cart", Case: "test_total[3]", File: "tests/test_cart.py"},
		`npx jest --runTestsByPath cart/total.test.js -t ''\''; reboot #\$\(reboot\)` + "`reboot`'": {Case: "'; reboot #$(reboot)`reboot`", File: "cart/total.test.js", Stacktrace: jest},
		`bundle exec rspec './spec/$(reboot)_spec.rb' -e 'a"; reboot'`:                              {Case: "a\"; reboot\n", File: "./spec/$(reboot)_spec.rb"},
		`cargo test ''\''; reboot' -- --exact`:                                                      {Case: "'; reboot", File: "src/lib.rs"},
	} {
		require.Equal(t, want, RunAgain(test))
	}
	for name, test := range map[string]event.TestResult{
		"its runner is not known":      {Suite: "cart", Case: "adds up", File: "cart/total.test.js"},
		"its file of tests is unknown": {Suite: "cart", Case: "adds up", File: "cart/total.js", Stacktrace: "    at callFn (node_modules/mocha/lib/runnable.js:366:21)"},
		"a file that is an option":     {Suite: "cart", Case: "adds up", File: "cart/total.js", Stacktrace: "    at f (--require=x.test.js:1:2)\n    at callFn (node_modules/mocha/lib/runnable.js:366:21)"},
		"a test that is an option":     {Suite: "cart", Case: "--runInBand", File: "cart/total.test.js", Stacktrace: jest},
		"minitest":                     {Suite: "CartTest", Case: "test_total", File: "test/cart_test.rb"},
	} {
		require.Empty(t, RunAgain(test), name)
	}
}
