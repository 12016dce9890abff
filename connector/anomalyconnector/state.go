package anomalyconnector

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/logpattern"
)

const (
	saveEvery    = 30 * time.Second
	keyEngine    = "engine/v1"
	keyTemplates = "templates/v1"
	keyDay       = "digest/v1"
	// maxSavedTemplates bounds what is saved of one service, most recently seen first.
	maxSavedTemplates = 2000
)

// savedTemplates are the templates of one service. Their ids are in the
// engine's snapshot, so the two are saved together.
type savedTemplates struct {
	Service     string             `json:"service"`
	Environment string             `json:"environment"`
	Templates   []logpattern.Known `json:"templates"`
}

func (m *monitor) openStore(ctx context.Context, host component.Host) error {
	if m.config.Storage == nil {
		return nil
	}
	extension, ok := host.GetExtensions()[*m.config.Storage]
	if !ok {
		return fmt.Errorf("storage: no extension %q is running; add it to service::extensions", m.config.Storage)
	}
	opener, ok := extension.(storage.Extension)
	if !ok {
		return fmt.Errorf("storage: extension %q keeps nothing; name a storage extension such as file_storage", m.config.Storage)
	}
	var err error
	if m.store, err = opener.GetClient(ctx, component.KindConnector, m.id, ""); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return nil
}

// restore puts back the baselines. What cannot be read is said and left: they
// are learnt anew within minutes.
func (m *monitor) restore(ctx context.Context) {
	if m.store == nil {
		return
	}
	ignored := func(what string, err error) {
		m.logger.Warn("a saved state could not be read and is ignored; baselines are learnt anew", zap.String("state", what), zap.Error(err))
	}
	m.restoreDay(ctx)
	m.restoreBuilds(ctx)
	snapshot, err := m.store.Get(ctx, keyEngine)
	if err != nil {
		ignored("engine", err)
	} else if len(snapshot) > 0 {
		if err := m.engine.Restore(snapshot); err != nil {
			ignored("engine", err)
		}
	}
	raw, err := m.store.Get(ctx, keyTemplates)
	if err != nil || len(raw) == 0 {
		if err != nil {
			ignored("templates", err)
		}
		return
	}
	var saved []savedTemplates
	if err := json.Unmarshal(raw, &saved); err != nil {
		ignored("templates", err)
		return
	}
	for _, s := range saved {
		p := m.patternsOf(s.Service, s.Environment)
		p.mu.Lock()
		p.miner.Restore(s.Templates)
		p.mu.Unlock()
	}
}

// save writes engine and templates in one batch.
func (m *monitor) save(ctx context.Context) {
	snapshot, err := m.engine.Snapshot()
	if err != nil {
		m.logger.Warn("the engine's state could not be saved", zap.Error(err))
		return
	}
	var saved []savedTemplates
	m.minersMu.Lock()
	for key, p := range m.miners {
		p.mu.Lock()
		known := p.miner.Snapshot()
		p.mu.Unlock()
		saved = append(saved, savedTemplates{key.service, key.environment, known[max(0, len(known)-maxSavedTemplates):]})
	}
	m.minersMu.Unlock()
	templates, err := json.Marshal(saved)
	if err == nil {
		err = m.store.Batch(ctx, storage.SetOperation(keyEngine, snapshot), storage.SetOperation(keyTemplates, templates))
	}
	if err != nil {
		m.logger.Warn("baselines could not be saved; a restart would learn them anew", zap.Error(err))
	}
}

// restoreDay finds till when digests were told.
func (m *monitor) restoreDay(ctx context.Context) {
	text, err := m.store.Get(ctx, keyDay)
	if err == nil && len(text) > 0 {
		m.unsaid.day, err = time.Parse(time.DateOnly, string(text))
	}
	if err != nil {
		m.logger.Warn("it is not known till when digests were told; the next is that of today", zap.Error(err))
	}
}

func (m *monitor) saveDay(day time.Time) {
	if m.store == nil {
		return
	}
	if err := m.store.Set(m.ctx, keyDay, []byte(day.Format(time.DateOnly))); err != nil {
		m.logger.Warn("it could not be noted till when digests were told; a restart over midnight would miss one", zap.Error(err))
	}
}
