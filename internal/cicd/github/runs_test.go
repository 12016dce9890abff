package github

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAForksMainIsNotTheRepositorys(t *testing.T) {
	run := githubRun{HeadBranch: "main"}
	require.Equal(t, "main", run.branch("acme/shop"))
	run.HeadRepo.FullName, run.HeadRepo.Owner.Login = "Acme/Shop", "acme"
	require.Equal(t, "main", run.branch("acme/shop"))
	run.HeadRepo.FullName, run.HeadRepo.Owner.Login = "ada/shop", "ada"
	require.Equal(t, "ada:main", run.branch("acme/shop"))
}
