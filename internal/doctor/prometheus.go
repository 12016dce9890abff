package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// RemoteWrite sends an empty write, which changes nothing: a receiver that is
// there takes it, and one that is off says so.
func RemoteWrite(s Server) Check {
	return Check{"prometheus_remote_write", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		return []Finding{s.testRemoteWrite(ctx)}
	}}
}

func (s Server) testRemoteWrite(ctx context.Context) Finding {
	empty := []byte{0} // nothing, in snappy's block format
	got, err := s.send(ctx, http.MethodPost, "", nil, empty, http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
	})
	if err != nil {
		return s.unreachable(err)
	}
	said := strings.ToLower(string(got.body))
	switch {
	case got.status/100 == 2:
		return ok("takes remote writes")
	case strings.Contains(said, "remote write receiver") && (strings.Contains(said, "enable") || strings.Contains(said, "disabled")):
		return Fail(CauseRemoteWriteDisabled, fmt.Sprintf("Prometheus does not take remote writes (%s)", got.said()),
			"start Prometheus with --web.enable-remote-write-receiver")
	case got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed:
		return Fail(CauseWrongServer, fmt.Sprintf("no remote write endpoint is at %s (%d)", endpoint.Shown(s.URL), got.status),
			fmt.Sprintf("set %s to the whole URL, for Prometheus http://HOST:9090/api/v1/write", s.Key))
	}
	return s.refused(got, "a remote write")
}

// Scrape reads the page that Prometheus is to scrape.
func Scrape(s Server) Check {
	return Check{"prometheus_exporter", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		got, err := s.send(ctx, http.MethodGet, "metrics", nil, nil, nil)
		switch {
		case err != nil:
			return []Finding{s.unreachable(err)}
		case got.status/100 != 2:
			return []Finding{s.refused(got, "to be scraped")}
		case got.isHTML():
			return []Finding{s.wrong(got)}
		case !strings.Contains(string(got.body), "deployloop_"):
			return []Finding{ok("can be scraped; it has no series of deployloop yet")}
		}
		return []Finding{ok("can be scraped, and has the loop's metrics")}
	}}
}

// loopSeries selects what deployloop tells of itself, by exporter, by the
// console's own page or by remote write; not what doctor sends itself.
const loopSeries = `count({__name__=~"deployloop_.+",__name__!~"deployloop_doctor_.+"})`

// Scraped asks Prometheus whether it holds the loop's metrics.
func Scraped(s Server, targets []string) Check {
	return Check{"prometheus", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		got, err := s.call(ctx, http.MethodGet, "api/v1/query", url.Values{"query": {loopSeries}}, nil)
		if err != nil {
			return []Finding{s.unreachable(err)}
		}
		var told struct {
			Status string
			Data   struct{ Result []json.RawMessage }
		}
		if got.status/100 != 2 {
			return []Finding{s.refused(got, "a query")}
		}
		if json.Unmarshal(got.body, &told) != nil || told.Status != "success" {
			return []Finding{s.wrong(got)}
		}
		if len(told.Data.Result) == 0 {
			fix := "add to scrape_configs: {job_name: deployloop, static_configs: [{targets: [127.0.0.1:8889]}]}"
			if len(targets) > 0 {
				fix = "add to scrape_configs: {job_name: deployloop, static_configs: [{targets: [" + strings.Join(targets, ", ") + "]}]}"
			}
			return []Finding{Fail(CauseNotScraped, "Prometheus holds no metric of deployloop", fix)}
		}
		return []Finding{ok("holds the loop's metrics")}
	}}
}
