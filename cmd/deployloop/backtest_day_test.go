package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/backtest"
)

// day is two services for 33 hours, one histogram a minute and pod, as an SDK
// exports it. Both go to version 2 after eight hours. From the fourth hour on a
// further 1 % of cart's requests fails each hour, as of connections that leak;
// stock's do not.
func day(deployed time.Time) (lines []string) {
	rng := rand.New(rand.NewPCG(24, 24))
	for minute := -8 * 60; minute < 25*60; minute++ {
		at := deployed.Add(time.Duration(minute) * time.Minute)
		for _, service := range []string{"cart", "stock"} {
			version, failing := "1", .002
			if minute >= 0 {
				version = "2"
				if service == "cart" {
					failing += .01 * math.Max(0, float64(minute-180)/60)
				}
			}
			var pods []string
			for pod := range 2 {
				counts, failed := [4]int{}, 0
				for range 60 + rng.IntN(9) {
					if rng.Float64() < failing {
						failed++
						continue
					}
					switch x := rng.Float64(); {
					case x < .01:
						counts[3]++
					case x < .2:
						counts[1]++
					case x < .25:
						counts[2]++
					default:
						counts[0]++
					}
				}
				pods = append(pods, fmt.Sprintf(`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"%s"}},{"key":"service.version","value":{"stringValue":"%s"}},`+
					`{"key":"service.instance.id","value":{"stringValue":"%s-%s-%d"}}]},"scopeMetrics":[{"metrics":[{"name":"http.server.request.duration","unit":"s","histogram":{"aggregationTemporality":1,"dataPoints":[`+
					`{"startTimeUnixNano":"%d","timeUnixNano":"%d","count":"%d","explicitBounds":[0.1,0.25,1],"bucketCounts":["%d","%d","%d","%d"],`+
					`"attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"http.route","value":{"stringValue":"/items"}},{"key":"http.response.status_code","value":{"intValue":"200"}}]},`+
					`{"startTimeUnixNano":"%[6]d","timeUnixNano":"%[7]d","count":"%[13]d","explicitBounds":[0.1,0.25,1],"bucketCounts":["%[13]d","0","0","0"],`+
					`"attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"http.route","value":{"stringValue":"/items"}},{"key":"http.response.status_code","value":{"intValue":"500"}}]}]}}]}]}`,
					service, version, service, version, pod, at.Add(-time.Minute).UnixNano(), at.UnixNano(), counts[0]+counts[1]+counts[2]+counts[3], counts[0], counts[1], counts[2], counts[3], failed))
			}
			lines = append(lines, `{"resourceMetrics":[`+strings.Join(pods, ",")+`]}`)
		}
	}
	return lines
}

// The watch goes on for a day: what creeps in is found in hours, and what is
// well is said to be for the whole of it.
func TestBacktestOfADay(t *testing.T) {
	deployed := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	out, _ := runBacktest(t, "", "--telemetry", write(t, "day.jsonl.gz", day(deployed)), "--output", "json")
	final := map[string]backtest.Line{}
	for _, l := range decode(t, out) {
		if l.Final {
			final[l.Deployment.Service] = l
		}
	}
	require.Len(t, final, 2)
	for service, l := range final {
		require.EqualValues(t, (24 * time.Hour).Seconds(), l.Checkpoint, service)
		require.False(t, l.HealthyAt.IsZero(), service)
		require.True(t, l.HealthyAt.Before(deployed.Add(time.Hour)), "%s at %s", service, l.HealthyAt)
	}
	stock, cart := final["stock"], final["cart"]
	require.Equal(t, "healthy", stock.Verdict, stock.Detail)
	require.True(t, stock.RegressedAt.IsZero())
	require.Equal(t, "regressed", cart.Verdict, cart.Detail)
	require.GreaterOrEqual(t, cart.Nats, cart.Threshold)
	require.EqualValues(t, "errors", cart.Evidence[0].Signal)
	after := cart.RegressedAt.Sub(deployed)
	require.Greater(t, after, 3*time.Hour, "not before it began")
	require.Less(t, after, 6*time.Hour)
}
