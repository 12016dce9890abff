// Package promhistory reads what a Prometheus (or what speaks its API) recorded
// of requests, as OTLP metrics: cumulative histograms and counters, a point a
// step, under the service, version and instance that their labels name.
//
// It asks for one metric and one stretch of time after another, so that memory
// is bounded by a stretch; one that is refused as too large, or that brings more
// than it should, is halved; one that fails otherwise is asked for again.
package promhistory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// DefaultSeries are the metrics of OpenTelemetry's HTTP, RPC and messaging
// conventions, and of span_metrics, as Prometheus names them. One whose name
// ends with _total is a counter, others are histograms.
var DefaultSeries = []string{
	"http_server_request_duration_seconds", "http_server_duration_milliseconds",
	"rpc_server_call_duration_seconds", "rpc_server_duration_milliseconds", "messaging_process_duration_seconds",
	"traces_span_metrics_duration_seconds", "traces_span_metrics_duration_milliseconds",
}

// DefaultLabels are the labels that name what OpenTelemetry calls a resource
// attribute, the first that a series or its target_info carries.
var DefaultLabels = map[string][]string{
	"service":     {"service_name", "service", "app", "job"},
	"version":     {"service_version", "version", "app_version", "image_tag"},
	"revision":    {"vcs_ref_head_revision", "revision", "commit", "git_commit"},
	"instance":    {"service_instance_id", "pod", "instance"},
	"environment": {"deployment_environment_name", "deployment_environment", "environment", "env"},
}

// attributes are the resource attributes of Options.Labels' keys.
var attributes = map[string]string{
	"service": "service.name", "version": "service.version", "revision": "vcs.ref.head.revision",
	"instance": "service.instance.id", "environment": "deployment.environment.name",
}

// Options of a History.
type Options struct {
	URL    string              // of the server; may hold user and password
	Token  configopaque.String // sent as bearer token
	Series []string            // metrics, each with matchers if need be; nil: DefaultSeries
	Labels map[string]string   // label by what it tells, before DefaultLabels
	From   time.Time
	To     time.Time
	Step   time.Duration
	// Progress is told the time up to which a metric was read.
	Progress func(metric string, at time.Time)
}

// Limits of what is asked for at once, and of how often.
const (
	firstStretch = time.Hour
	maxSamples   = 1_000_000 // of one answer, beyond which the next stretch is half as long
	maxBody      = 512 << 20 // bytes of one answer
	maxSteps     = 10_000    // Prometheus refuses 11,000
	maxBegun     = 2_000_000 // series whose begin is remembered
	attempts     = 6         // of one stretch
	patience     = 2 * time.Minute
)

// History reads one server.
type History struct {
	options Options
	api     prometheus.API
	origins map[string]model.Metric // of target_info, by job and instance
	begun   map[model.Fingerprint]int64
	pause   time.Duration // before the second attempt
	found   bool          // the server answered once
}

// New checks the options.
func New(o Options) (*History, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the server's URL is none: write http://HOST:PORT")
	}
	if o.Step < time.Second {
		return nil, fmt.Errorf("a step of %v is too short: use a second or more, best the scrape interval", o.Step)
	}
	if !o.From.Before(o.To) {
		return nil, fmt.Errorf("there is no time between %s and %s", o.From.Format(time.RFC3339), o.To.Format(time.RFC3339))
	}
	for name := range o.Labels {
		if attributes[name] == "" {
			return nil, fmt.Errorf("%q is none of service, version, revision, instance, environment", name)
		}
	}
	if len(o.Series) == 0 {
		o.Series = DefaultSeries
	}
	for _, s := range o.Series {
		if name, _, _ := strings.Cut(s, "{"); !model.UTF8Validation.IsValidMetricName(strings.TrimSpace(name)) {
			return nil, fmt.Errorf("%q begins with no metric's name", s)
		}
	}
	if o.From, o.To = o.From.Truncate(o.Step), o.To.Truncate(o.Step); !o.From.Before(o.To) {
		return nil, fmt.Errorf("no step of %v ends in the time asked for: use a shorter step, best the scrape interval, or more time", o.Step)
	}
	client, err := api.NewClient(api.Config{Address: o.URL, RoundTripper: transport{o.Token}})
	if err != nil {
		return nil, redact(err, o.URL)
	}
	return &History{options: o, api: prometheus.NewAPI(client), begun: map[model.Fingerprint]int64{}, pause: time.Second}, nil
}

// Read gives all there is, a metric after another, each in order of time.
func (h *History) Read(ctx context.Context, emit func(pmetric.Metrics) error) error {
	if err := h.readOrigins(ctx); err != nil {
		return err
	}
	found := false
	for _, name := range h.options.Series {
		s := newSelector(name)
		some, err := h.readSeries(ctx, s, emit)
		if err != nil {
			return err
		}
		found = found || some
	}
	if !found {
		return fmt.Errorf("the server holds none of these between %s and %s: %s. Name yours by --series",
			h.options.From.Format(time.RFC3339), h.options.To.Format(time.RFC3339), strings.Join(h.options.Series, ", "))
	}
	return nil
}

// readSeries reads one metric in stretches. some says that there was anything.
func (h *History) readSeries(ctx context.Context, s selector, emit func(pmetric.Metrics) error) (some bool, err error) {
	there, err := h.exists(ctx, s)
	if err != nil || !there {
		return false, err
	}
	stretch := min(firstStretch.Truncate(h.options.Step)+h.options.Step, maxSteps*h.options.Step)
	for from := h.options.From; from.Before(h.options.To); {
		to := from.Add(stretch)
		if to.After(h.options.To) {
			to = h.options.To
		}
		matrix, err := h.ask(ctx, s.query(), prometheus.Range{Start: from, End: to.Add(-h.options.Step), Step: h.options.Step})
		if tooLarge(err) && stretch > h.options.Step {
			stretch = max((stretch / 2).Truncate(h.options.Step), h.options.Step)
			continue
		}
		if err != nil {
			return some, fmt.Errorf("%s from %s to %s: %w", s, from.Format(time.RFC3339), to.Format(time.RFC3339), err)
		}
		some = some || len(matrix) > 0
		samples := 0
		for _, m := range matrix {
			samples += len(m.Values)
		}
		if err := h.convert(s, matrix, emit); err != nil {
			return some, err
		}
		switch {
		case samples > maxSamples:
			stretch = max((stretch / 2).Truncate(h.options.Step), h.options.Step)
		case samples < maxSamples/8:
			stretch = min(2*stretch, maxSteps*h.options.Step)
		}
		if from = to; h.options.Progress != nil {
			h.options.Progress(s.name, to)
		}
	}
	return some, nil
}

// exists says whether a metric has any series in the whole time.
func (h *History) exists(ctx context.Context, s selector) (some bool, err error) {
	err = h.persist(ctx, func(ctx context.Context) error {
		names, _, err := h.api.LabelValues(ctx, model.MetricNameLabel, []string{s.query()}, h.options.From, h.options.To, prometheus.WithLimit(1))
		some = len(names) > 0
		return err
	})
	return some, err
}

// readOrigins reads target_info, which carries what an OTLP resource told.
func (h *History) readOrigins(ctx context.Context) error {
	h.origins = map[string]model.Metric{}
	for from := h.options.From; from.Before(h.options.To); from = from.Add(24 * time.Hour) {
		to := from.Add(24 * time.Hour)
		if to.After(h.options.To) {
			to = h.options.To
		}
		var series []model.LabelSet
		if err := h.persist(ctx, func(ctx context.Context) (err error) {
			series, _, err = h.api.Series(ctx, []string{"target_info"}, from, to)
			return err
		}); err != nil {
			return fmt.Errorf("target_info: %w", err)
		}
		for _, labels := range series {
			m := model.Metric(labels)
			h.origins[string(m["job"])+"\x00"+string(m["instance"])] = m
		}
	}
	return nil
}

func (h *History) ask(ctx context.Context, query string, r prometheus.Range) (matrix model.Matrix, err error) {
	err = h.persist(ctx, func(ctx context.Context) error {
		value, _, err := h.api.QueryRange(ctx, query, r)
		if err != nil {
			return err
		}
		var ok bool
		if matrix, ok = value.(model.Matrix); !ok {
			return fmt.Errorf("the server answers with a %s", value.Type())
		}
		return nil
	})
	return matrix, err
}

// persist asks again, ever more slowly, while the server may come back.
func (h *History) persist(ctx context.Context, ask func(context.Context) error) error {
	pause := h.pause
	for attempt := 1; ; attempt++ {
		once, cancel := context.WithTimeout(ctx, patience)
		err := ask(once)
		cancel()
		h.found = h.found || err == nil
		if !h.found && nobody(err) {
			return fmt.Errorf("no Prometheus answers at %s (%w): is it running, and is the address right?", endpoint.Shown(h.options.URL), endpoint.Cause(err))
		}
		if err == nil || ctx.Err() != nil || attempt == attempts || !passing(err) {
			return redact(err, h.options.URL)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// nobody says whether an error means that no server is there at all: asking again
// a mistyped address only keeps its writer waiting.
func nobody(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound
}

// passing says whether an error may be gone next time: the network's, the
// server's own, and of a limit on requests.
func passing(err error) bool {
	var e *prometheus.Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Type {
	case prometheus.ErrServer, prometheus.ErrCanceled, prometheus.ErrBadResponse:
		return true
	case prometheus.ErrClient:
		return strings.Contains(e.Msg, "429") || strings.Contains(e.Msg, "408")
	}
	return false
}

// tooLarge says whether less at once might be answered.
func tooLarge(err error) bool {
	var e *prometheus.Error
	if !errors.As(err, &e) {
		return errors.Is(err, errBody)
	}
	text := strings.ToLower(e.Msg + e.Detail)
	return e.Type == prometheus.ErrTimeout || e.Type == prometheus.ErrExec || e.Type == prometheus.ErrBadData &&
		slices.ContainsFunc([]string{"too many", "exceed", "limit", "maximum"}, func(w string) bool { return strings.Contains(text, w) })
}

// redact keeps what is secret in the server's address out of an error.
func redact(err error, address string) error {
	if err == nil {
		return nil
	}
	if said := endpoint.Hide(err.Error(), address); said != err.Error() {
		return errors.New(said)
	}
	return err
}

var errBody = fmt.Errorf("the answer is longer than %d bytes", maxBody)

// transport sends the token and bounds the answer.
type transport struct{ token configopaque.String }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(t.token))
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		answer.Body = &bounded{answer.Body, maxBody}
	}
	return answer, err
}
