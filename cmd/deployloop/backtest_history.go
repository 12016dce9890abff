package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/deployloop/deployloop/internal/promhistory"
)

// historyFlags say what history a backtest reads from Prometheus.
type historyFlags struct {
	url, since, until, step, token string
	series, labels                 []string
}

func (f *historyFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "prometheus", "", "`URL` of a Prometheus whose history is read")
	flags.StringVar(&f.since, "since", "30d", "how far back, as `duration` (30d, 12h) or RFC 3339 time")
	flags.StringVar(&f.until, "until", "now", "up to when: now, a `duration` ago, or a time")
	flags.StringVar(&f.step, "step", "15s", "`duration` between points; best the scrape interval")
	flags.StringArrayVar(&f.series, "series", nil, "`metric` to read, with matchers if need be; repeat for more. A histogram, or by a name ending with _total a counter")
	flags.StringArrayVar(&f.labels, "label", nil, "which label tells the service, version, revision, instance or environment, as `NAME=LABEL`; repeat for more")
	flags.StringVar(&f.token, "token-file", "", "`file` with a bearer token for the server")
}

// open gives the history that is asked for; nil: none.
func (f *historyFlags) open(now time.Time, meter *progressMeter) (*promhistory.History, error) {
	if f.url == "" {
		return nil, nil
	}
	o := promhistory.Options{URL: f.url, Series: f.series, Labels: map[string]string{},
		Progress: func(metric string, at time.Time) { meter.tell("reading: %s up to %s", metric, at.Format(time.RFC3339)) }}
	step, err := model.ParseDuration(f.step)
	if err != nil {
		return nil, fmt.Errorf("--step: %w", err)
	}
	o.Step = time.Duration(step)
	if o.From, err = moment(f.since, now); err != nil {
		return nil, fmt.Errorf("--since: %w", err)
	}
	if o.To, err = moment(f.until, now); err != nil {
		return nil, fmt.Errorf("--until: %w", err)
	}
	for _, text := range f.labels {
		name, label, ok := strings.Cut(text, "=")
		if !ok || label == "" {
			return nil, fmt.Errorf("--label %s: write NAME=LABEL, as version=image_tag", text)
		}
		o.Labels[name] = label
	}
	if f.token != "" {
		raw, err := os.ReadFile(f.token)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		o.Token = configopaque.String(strings.TrimSpace(string(raw)))
	}
	history, err := promhistory.New(o)
	if err != nil {
		return nil, fmt.Errorf("--prometheus: %w", err)
	}
	return history, nil
}

// moment reads "now", a duration ago, or a time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return now, fmt.Errorf("%q is neither a duration (30d, 12h) nor a time (2026-07-01T12:00:00Z)", text)
	}
	return now.Add(-time.Duration(d)), nil
}
