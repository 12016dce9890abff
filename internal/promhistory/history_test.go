package promhistory

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var from = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// fake answers as Prometheus does, with one histogram of two instances; the
// second appears after an hour.
type fake struct {
	asked   atomic.Int32
	refuse  func(start, end time.Time) (status int, body string)
	longest atomic.Int64 // stretch that was answered, seconds
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	answer := func(data any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
	}
	switch r.URL.Path {
	case "/api/v1/series":
		answer([]map[string]string{{"__name__": "target_info", "job": "shop/cart", "instance": "b", "service_version": "2"}})
	case "/api/v1/label/__name__/values":
		if r.Form.Get("match[]") == `http_server_request_duration_seconds_bucket{ns="x"}` {
			answer([]string{"http_server_request_duration_seconds_bucket"})
			return
		}
		answer([]string{})
	case "/api/v1/query_range":
		f.asked.Add(1)
		at := func(key string) time.Time {
			v, _ := strconv.ParseFloat(r.Form.Get(key), 64)
			return time.Unix(int64(v), 0).UTC()
		}
		start, end := at("start"), at("end")
		if f.refuse != nil {
			if status, body := f.refuse(start, end); status != 0 {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return
			}
		}
		f.longest.Store(max(f.longest.Load(), end.Unix()-start.Unix()))
		var result []any
		for _, instance := range []string{"a", "b"} {
			began := from
			if instance == "b" {
				began = from.Add(time.Hour - time.Second)
			}
			for k, le := range []string{"0.1", "1", "+Inf"} {
				values := []any{}
				for t := start; !t.After(end); t = t.Add(15 * time.Second) {
					if instance == "b" && t.Before(from.Add(time.Hour)) {
						continue
					}
					values = append(values, []any{t.Unix(), fmt.Sprint(int(t.Sub(began).Seconds()) * (k + 1))})
				}
				if len(values) > 0 {
					result = append(result, map[string]any{"values": values, "metric": map[string]string{"__name__": "http_server_request_duration_seconds_bucket",
						"job": "shop/cart", "instance": instance, "le": le, "http_route": "/cart"}})
				}
			}
		}
		answer(map[string]any{"resultType": "matrix", "result": result})
	}
}

func read(t *testing.T, f *fake, span time.Duration) (points map[string][]pmetric.HistogramDataPoint, versions map[string]string, err error) {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	h, err := New(Options{URL: server.URL, Series: []string{`http_server_request_duration_seconds{ns="x"}`}, From: from, To: from.Add(span), Step: 15 * time.Second})
	require.NoError(t, err)
	h.pause = time.Millisecond
	points, versions = map[string][]pmetric.HistogramDataPoint{}, map[string]string{}
	err = h.Read(t.Context(), func(md pmetric.Metrics) error {
		for _, r := range md.ResourceMetrics().All() {
			service, _ := r.Resource().Attributes().Get("service.name")
			require.Equal(t, "cart", service.Str())
			instance, _ := r.Resource().Attributes().Get("service.instance.id")
			if v, ok := r.Resource().Attributes().Get("service.version"); ok {
				versions[instance.Str()] = v.Str()
			}
			for _, p := range r.ScopeMetrics().At(0).Metrics().At(0).Histogram().DataPoints().All() {
				points[instance.Str()] = append(points[instance.Str()], p)
			}
		}
		return nil
	})
	return points, versions, err
}

func TestHistogramsOfEveryStep(t *testing.T) {
	f := &fake{}
	points, versions, err := read(t, f, 3*time.Hour)
	require.NoError(t, err)
	require.Len(t, points["a"], 3*240)
	require.Len(t, points["b"], 2*240)
	require.Equal(t, map[string]string{"b": "2"}, versions, "target_info tells the version")
	for i, p := range points["a"] {
		require.Equal(t, from.Add(time.Duration(i)*15*time.Second), p.Timestamp().AsTime(), "each step once, in order")
		require.Zero(t, p.StartTimestamp(), "it began before what is read")
		n := uint64(15 * i)
		require.Equal(t, []uint64{n, n, n}, p.BucketCounts().AsRaw())
		require.Equal(t, 3*n, p.Count())
		require.Equal(t, []float64{.1, 1}, p.ExplicitBounds().AsRaw())
	}
	require.Equal(t, from.Add(time.Hour-15*time.Second), points["b"][0].StartTimestamp().AsTime(), "it began when it was first seen")
	require.Equal(t, points["b"][0].StartTimestamp(), points["b"][479].StartTimestamp())
}

// What is too much at once is asked for in halves, and what fails in passing again.
func TestStretchesAndAttempts(t *testing.T) {
	failures := 0
	f := &fake{refuse: func(start, end time.Time) (int, string) {
		if end.Sub(start) > 20*time.Minute {
			return 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`
		}
		if failures++; failures%3 == 0 {
			return 503, "try later"
		}
		return 0, ""
	}}
	points, _, err := read(t, f, 3*time.Hour)
	require.NoError(t, err)
	require.Len(t, points["a"], 3*240)
	require.LessOrEqual(t, f.longest.Load(), int64(1200))
	require.Greater(t, failures, 9)

	f = &fake{refuse: func(time.Time, time.Time) (int, string) {
		return 400, `{"status":"error","errorType":"bad_data","error":"parse error"}`
	}}
	_, _, err = read(t, f, time.Hour)
	require.ErrorContains(t, err, "parse error")
	require.EqualValues(t, 1, f.asked.Load(), "a mistake stays one")
}

func TestNothingFoundNamesWhatWasSought(t *testing.T) {
	server := httptest.NewServer(&fake{})
	defer server.Close()
	h, err := New(Options{URL: server.URL, From: from, To: from.Add(time.Hour), Step: time.Minute})
	require.NoError(t, err)
	require.ErrorContains(t, h.Read(t.Context(), nil), "--series")
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"URL":       {URL: "localhost:9090", From: from, To: from.Add(1e12), Step: 15e9},
		"too short": {URL: "http://x", From: from, To: from.Add(1e12), Step: 1},
		"no time":   {URL: "http://x", From: from, To: from, Step: 15e9},
		"none of":   {URL: "http://x", From: from, To: from.Add(1e12), Step: 15e9, Labels: map[string]string{"versoin": "x"}},
		"begins":    {URL: "http://x", From: from, To: from.Add(1e12), Step: 15e9, Series: []string{"{a=1}"}},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, name)
	}
	for _, address := range []string{"http://me:hunter2@nowhere.invalid", "http://hunter2@nowhere.invalid", "http://nowhere.invalid?api_key=hunter2"} {
		require.NotContains(t, redact(fmt.Errorf("get %s", address), address).Error(), "hunter2")
	}
}

// A series that appears late began then only if it holds what a few steps add:
// one that a job or a label was added for brings the count of its life.
func TestWhatAppearsLateMayBeOld(t *testing.T) {
	late := model.TimeFromUnixNano(from.Add(time.Hour).UnixNano())
	series := func(values ...float64) *model.SampleStream {
		s := &model.SampleStream{}
		for i, v := range values {
			s.Values = append(s.Values, model.SamplePair{Timestamp: late.Add(time.Duration(i) * 15 * time.Second), Value: model.SampleValue(v)})
		}
		return s
	}
	for name, c := range map[string]struct {
		values []float64
		born   bool
	}{
		"as much as a step adds":          {[]float64{12, 25, 30, 44}, true},
		"three times as much":             {[]float64{30, 40, 45}, true},
		"the first error of a new kind":   {[]float64{1, 1, 1, 1}, true},
		"nought":                          {[]float64{0, 0, 0}, true},
		"alone and low":                   {[]float64{2}, true},
		"the count of a life":             {[]float64{1_000_000, 1_000_012, 1_000_020}, false},
		"somewhat old":                    {[]float64{31, 41, 45}, false},
		"old and idle":                    {[]float64{4000, 4000, 4000}, false},
		"alone and high":                  {[]float64{4000}, false},
		"a restart is no step":            {[]float64{4000, 5, 10}, false},
		"busy only after the steps asked": {append(append([]float64{900}, slices.Repeat([]float64{900}, newbornSteps)...), 1900), false},
	} {
		h := &History{options: Options{From: from, Step: 15 * time.Second}, begun: map[model.Fingerprint]int64{}}
		g := &group{buckets: []bucket{{series: series(c.values...)}}}
		h.begins(selector{name: "x_total"}, g)
		want := from.Add(time.Hour).UnixMilli() // its first value's own time: a reference
		if c.born {
			want = from.Add(time.Hour - 15*time.Second).UnixMilli()
		}
		require.Equal(t, want, g.start, name)
	}
}

// A mistyped address is said at once, and without the password in it.
func TestNobodyThere(t *testing.T) {
	h, err := New(Options{URL: "http://me:secret@127.0.0.1:1", From: time.Unix(0, 0), To: time.Unix(60, 0), Step: time.Second})
	require.NoError(t, err)
	h.pause = time.Hour // a second attempt would not end
	err = h.Read(t.Context(), nil)
	require.ErrorContains(t, err, "no Prometheus answers at http://")
	require.NotContains(t, err.Error(), "secret")
}
