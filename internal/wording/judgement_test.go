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
}
