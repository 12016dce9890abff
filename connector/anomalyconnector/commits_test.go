package anomalyconnector

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clone is opened once, so that it keeps the ranges that it read.
func TestACloneIsOpenedOnce(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("git", "init", "-q", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b := newBench(t, nil)
	first, err := b.m.clones.open(dir)
	require.NoError(t, err)
	again, err := b.m.clones.open(dir)
	require.NoError(t, err)
	assert.Same(t, first, again)
	_, err = b.m.clones.open(filepath.Join(dir, "nowhere"))
	require.Error(t, err)
}
