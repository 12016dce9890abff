package anomalyconnector

import (
	"context"
	"encoding/json"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

const (
	keyBuilds    = "builds/v1"  // the list of the keys of baselines
	prefixBuilds = "builds/v1/" // a baseline
	// saveBuildsEvery bounds how much of builds and tests a crash forgets.
	saveBuildsEvery = 5 * time.Second
)

// saveBuilds writes the baselines that changed, and which there are, and deletes those
// that are no longer held.
func (m *monitor) saveBuilds(ctx context.Context) {
	dirty, err := m.builds.store.Dirty()
	if err != nil {
		m.logger.Warn("a baseline of builds and tests could not be saved", zap.Error(err))
		return
	}
	gone := m.builds.store.Gone()
	if len(dirty)+len(gone) == 0 {
		return
	}
	keys, err := json.Marshal(m.builds.store.Keys())
	if err == nil {
		operations := []*storage.Operation{storage.SetOperation(keyBuilds, keys)}
		for _, key := range gone {
			operations = append(operations, storage.DeleteOperation(prefixBuilds+key))
		}
		for key, value := range dirty {
			operations = append(operations, storage.SetOperation(prefixBuilds+key, value))
		}
		err = m.store.Batch(ctx, operations...)
	}
	if err != nil {
		m.builds.store.Again(dirty, gone)
		m.logger.Warn("baselines of builds and tests could not be saved; this is tried again", zap.Error(err))
	}
}

// restoreBuilds puts the baselines back; one that cannot be read is learnt anew.
func (m *monitor) restoreBuilds(ctx context.Context) {
	ignored := func(key string, err error) {
		m.logger.Warn("a baseline of builds and tests could not be read and is learnt anew", zap.String("key", key), zap.Error(err))
	}
	raw, err := m.store.Get(ctx, keyBuilds)
	var keys []string
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &keys)
	}
	if err != nil {
		ignored(keyBuilds, err)
		return
	}
	for _, key := range keys {
		value, err := m.store.Get(ctx, prefixBuilds+key)
		if err == nil && value != nil {
			err = m.builds.store.Load(value)
		}
		if err != nil {
			ignored(key, err)
			m.builds.store.Again(nil, []string{key}) // once the list does not name it nothing would find it
		}
	}
}
