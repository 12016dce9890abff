package alertmanagerexporter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exportertest"
)

// fakeAlertmanager is a transport without a network, so that a test may run in
// virtual time.
type fakeAlertmanager struct {
	down   bool
	alerts models.PostableAlerts
}

func (f *fakeAlertmanager) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.down {
		return nil, errors.New("connection refused")
	}
	var alerts models.PostableAlerts
	if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
		return nil, err
	}
	f.alerts = append(f.alerts, alerts...)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// newBareTeller is an exporter with one endpoint over a transport; it runs
// inside a synctest bubble.
func newBareTeller(t *testing.T, cfg *Config, transport http.RoundTripper) *teller {
	t.Helper()
	made, err := newTeller(exportertest.NewNopSettings(Type), cfg)
	require.NoError(t, err)
	made.host = host{}
	e := newEndpoint(made, cfg.Endpoints[0].Endpoint, &http.Client{Transport: transport})
	made.endpoints = []*endpoint{e}
	workers, cancel := context.WithCancel(context.Background())
	made.cancel = cancel
	made.wg.Go(func() { e.run(workers) })
	t.Cleanup(func() { require.NoError(t, made.Shutdown(context.Background())) })
	return made
}
