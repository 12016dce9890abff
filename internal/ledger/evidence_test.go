package ledger

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestEvidenceIsKeptForItsDeployment(t *testing.T) {
	l := New(Limits{})
	d, _ := l.RecordDeployment(event.Deployment{ID: "elsewhere-7", Service: "cart", Environment: "prod", Version: "2", StartedAt: t0})
	l.RecordEvidence("elsewhere-7", t0, []byte(`{"n":1}`))
	l.RecordEvidence(d.ID, t0.Add(time.Minute), []byte(`{"n":2}`))
	for _, id := range []string{d.ID, "elsewhere-7"} {
		got, ok := l.Evidence(id)
		require.True(t, ok, id)
		assert.JSONEq(t, `{"n":2}`, string(got))
	}
	_, ok := l.Evidence("unknown")
	assert.False(t, ok)

	again := New(Limits{})
	for _, item := range l.Dirty() {
		if item.Value != nil {
			require.NoError(t, again.Load(item.Key, item.Value))
		}
	}
	again.Loaded()
	got, ok := again.Evidence(d.ID)
	require.True(t, ok, "it outlives a restart")
	assert.JSONEq(t, `{"n":2}`, string(got))
	assert.Equal(t, l.documentBytes, again.documentBytes)

	l.Expire(t0.Add(1000 * time.Hour))
	_, ok = l.Evidence(d.ID)
	assert.False(t, ok, "forgotten with its deployment")
	assert.Zero(t, l.documentBytes)
}

func TestEvidenceIsBounded(t *testing.T) {
	l := New(Limits{Documents: 20})
	for i := range 50 {
		l.RecordEvidence(fmt.Sprint(i), t0, []byte("{}"))
	}
	assert.Equal(t, 20, l.Sizes()["evidence"])
	assert.Equal(t, uint64(30), l.Dropped()["evidence"])
	_, ok := l.Evidence("0")
	assert.False(t, ok, "the oldest goes first")

	l = New(Limits{})
	noise := make([]byte, maxDocument)
	_, _ = rand.Read(noise) // never fails; it cannot be compressed
	for i := range 10 {
		l.RecordEvidence(fmt.Sprint(i), t0, noise)
		require.LessOrEqual(t, l.documentBytes, maxDocumentsBytes)
	}
	assert.Less(t, l.Sizes()["evidence"], 9)
	got, ok := l.Evidence("9")
	require.True(t, ok)
	assert.True(t, bytes.Equal(noise, got))
	dropped := l.Dropped()["evidence"]
	l.RecordEvidence("large", t0, append(noise, 0))
	assert.Equal(t, dropped+1, l.Dropped()["evidence"])
}
