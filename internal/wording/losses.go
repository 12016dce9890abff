package wording

import (
	"cmp"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// lossWords say what the names of telemetry that did not count, or counted
// otherwise than it came, mean.
var lossWords = map[string]string{
	// the engine
	"late":                                  "items that came too late to be counted",
	"late_counted":                          "late items, counted in the second that was open when they came",
	"clock_ahead":                           "items from the future: a sender's clock is ahead",
	"clock_set_back":                        "times that this machine's clock was set back, which was made up for",
	"invalid_weight":                        "items with a sampling weight that is none",
	"weight_capped":                         "items of a sampling weight above 1000, counted as 1000",
	"invalid_duration":                      "requests without a usable duration, whose latency did not count",
	"sources_over_limit":                    "items of instances beyond the limit",
	"services_over_limit":                   "items of services beyond the limit",
	"watches_over_limit":                    "deployments that were let go of, since too many are watched",
	"other_operations":                      "requests of operations beyond the limit, counted for the service alone",
	"other_patterns":                        "exceptions and log lines of kinds beyond the limit, counted together",
	"other_gauges":                          "samples of gauges beyond the limit",
	"other_losses":                          "losses of further kinds",
	"invalid_gauge":                         "samples of gauges that are no numbers",
	"gauge_samples_over_limit":              "samples of gauges that came faster than they were judged",
	"copied_series":                         "samples of replaced instances that repeat a new instance's to the bit: a recorder goes on writing under the old name, so they are no control",
	"exclusive_over_limit":                  "operations beyond the limit, of which own and inherited harm is not told apart",
	"metric_points_repeating_spans":         "metric points of requests that spans, or better metrics, tell of already",
	"metric_points_invalid":                 "metric points with counts that are no numbers",
	"memory_new_inner_work_and_quiet_lines": "new kinds of inner work and of quiet log lines, not taken in for want of memory",
	"memory_new_log_templates":              "new log templates, not taken in for want of memory",
	"memory_new_operations":                 "new operations, counted for the service alone for want of memory",
	"memory_new_gauges":                     "new gauges, not taken in for want of memory",
	"memory_new_instances":                  "items of new instances, not taken in for want of memory",
	"memory_search_without_deployment":      "services in which nothing is looked for without a deployment, for want of memory",
	"memory_watched_for_vanishing":          "things watched for vanishing, let go of for want of memory",
	// the readers
	"no_service_name":                     "items without a service.name",
	"tail_sampled":                        "spans that a tail sampler chose, whose shares of errors would mislead",
	"health_probes":                       "requests of health checks",
	"metric_points_unused":                "points of metrics that say neither how requests went nor what went wrong",
	"metric_series_over_limit":            "points of series beyond the limit",
	"metric_points_first":                 "first points of cumulative series, of which nobody knows what is news",
	"metric_points_after_a_gap":           "points after more than five minutes without",
	"metric_points_late_or_repeated":      "points that are not after their series' last one",
	"metric_points_without_temporality":   "points of metrics that do not say whether they are cumulative or deltas",
	"metric_points_malformed":             "points whose bounds and counts do not fit, or are no numbers",
	"metric_counter_resets":               "counters that began anew, and were counted on",
	"metric_buckets_changed":              "points of histograms that changed their bounds, whose durations did not count",
	"build_results_over_limit":            "results of builds that came faster than they were judged",
	"build_results_undecodable":           "results of builds that could not be read",
	"build_branch_unknown":                "jobs of a main branch that may be a fork's: neither their run nor the push of their commit was heard of",
	"build_deploys":                       "jobs that deploy, beyond the limit, of which it is not told that they hang",
	"calls_over_limit":                    "calls to further services, beyond the limit",
	"calls_clock_ahead":                   "calls from the future: a sender's clock is ahead",
	"traces_not_joined":                   "spans that found no room to wait for the rest of their trace",
	"calls_without_their_request":         "calls whose request did not come within ten seconds",
	"shed_inner_spans":                    "inner spans, left out for want of processor time",
	"shed_log_lines_below_warn":           "log lines below WARN, left out for want of processor time",
	"shed_metric_points_of_the_long_tail": "metric points of the long tail, left out for want of processor time",
	"shed_log_lines":                      "log lines, left out for want of processor time",
}

// Loss says what the name of a loss means; "" of a name that is not known.
func Loss(name string) string { return lossWords[name] }

// counted are the losses that lose nothing: what they name was counted, if
// otherwise than it came.
var counted = []string{"late_counted", "clock_set_back", "weight_capped", "metric_counter_resets", "metric_points_repeating_spans", "other_operations", "other_patterns", "memory_new_operations"}

// LossesByKind are losses apart: what did not count, and what counted otherwise
// than it came.
type LossesByKind struct{ Lost, Counted []event.Loss }

// Lost tells them apart.
func Lost(losses []event.Loss) (k LossesByKind) {
	for _, l := range losses {
		switch {
		case l.Count == 0:
		case slices.Contains(counted, l.Name):
			k.Counted = append(k.Counted, l)
		default:
			k.Lost = append(k.Lost, l)
		}
	}
	return k
}

// Losses says which telemetry was not counted, in the words of the page: "1,204
// items that came too late to be counted; 3 …".
func Losses(losses []event.Loss) string {
	var names []string
	for _, l := range Lost(losses).Lost {
		if len(names) < 8 {
			names = append(names, Count(float64(l.Count))+" "+cmp.Or(Loss(l.Name), strings.ReplaceAll(OneLine(l.Name, 40), "_", " ")))
		}
	}
	return strings.Join(names, "; ")
}
