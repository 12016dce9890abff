package backtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T) []Case {
	t.Helper()
	file, err := Find(".")
	if err != nil {
		t.Skip(err)
	}
	cases, err := Load(file)
	require.NoError(t, err)
	return cases
}

func TestCrossValidated(t *testing.T) {
	cases := load(t)
	for _, r := range CrossValidate(cases) {
		fmt.Print(r.String())
	}
	w := Fit(cases)
	fmt.Println(Describe(w))
}
