package anomalyconnector

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A stack of bundled JavaScript is told as its sources have it; the engine's own
// frames stay.
func TestSourcesOfBundledCode(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "assets"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "assets", "app.js.map"),
		[]byte(`{"version":3,"file":"app.js","sources":["webpack://shop/./src/cart/total.ts"],"names":["total"],"mappings":"AASAA"}`), 0o600))
	b := newBench(t, nil)
	found := []event.RelatedError{
		{Fingerprint: "f1", Frames: []event.Frame{{File: "https://shop.example/assets/app.js", Line: 1, Column: 30, Function: "t"}, {File: "server.ts", Line: 3}}},
		{Fingerprint: "f2", Frames: []event.Frame{{File: "server.go", Line: 7}}},
	}
	x := &tracked{frames: b.m.sourceFrames(found, []Repository{{Service: "*", SourceMaps: folder}})}
	v := event.Verdict{Related: found}
	x.dress(&v)
	assert.Equal(t, []event.Frame{{File: "src/cart/total.ts", Line: 10, Function: "total"}, {File: "server.ts", Line: 3}}, v.Related[0].Frames)
	assert.Equal(t, "server.go", v.Related[1].Frames[0].File)
	assert.Equal(t, "https://shop.example/assets/app.js", found[0].Frames[0].File)

	assert.Empty(t, b.m.sourceFrames(found, []Repository{{Service: "*"}}))
	assert.Empty(t, b.m.sourceFrames(found, []Repository{{Service: "*", SourceMaps: filepath.Join(folder, "gone")}}))
}
