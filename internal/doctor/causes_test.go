package doctor

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLittleSpace(t *testing.T) {
	f := room("extensions::file_storage::directory", spaceWorth-1, true)
	assert.Equal(t, Warning, f.Status)
	assert.Equal(t, CauseStorageFull, f.Cause)
	assert.Contains(t, f.What, "199 MiB")
	assert.Equal(t, OK, room("k", spaceWorth, true).Status)
	assert.Equal(t, OK, room("k", 0, false).Status, "a disk that does not say is not called full")
}

func TestNoGit(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("git", "init", "-q", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	clone := Repository(Clone{Key: "k", Service: "*", Path: dir})
	assert.Equal(t, CauseEmptyRepository, one(t, clone).Cause)
	t.Setenv("PATH", t.TempDir())
	f := one(t, clone)
	assert.Equal(t, CauseNoGit, f.Cause, "%+v", f)
	assert.Contains(t, f.Fix, "install git")
}

func TestWhatRunsIsAnother(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/status", r.URL.Path)
		_, _ = w.Write([]byte(`{"version":"1.0.0","mode":"advise"}`))
	})
	for _, c := range []struct {
		want  Expected
		cause Cause
	}{
		{Expected{}, ""},
		{Expected{Version: "1.0.0", Mode: "advise"}, ""},
		{Expected{Version: "1.1.0", Mode: "advise"}, CauseVersionDiffers},
		{Expected{Version: "1.1.0", Mode: "shadow"}, CauseConfigDiffers},
	} {
		f := one(t, Console(s, c.want))
		assert.Equal(t, c.cause, f.Cause, "%+v", f)
	}
}

func TestServiceWithoutTraces(t *testing.T) {
	for traces, cause := range map[bool]Cause{true: "", false: CauseNoTraces} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"services":[{"service":"cart","environment":"production","version":true,"revision":true,"commit_known":true,
				"environment_named":true,"telemetry":true,"deploy_source":true,"traces":%v}]}`, traces)
		})
		f := one(t, Services(s, nil, false))
		assert.Equal(t, cause, f.Cause, "%+v", f)
		assert.Contains(t, f.Target, "cart")
	}
}
