package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deployloop/deployloop/dashboards"
)

// How long Prometheus and Alertmanager may take: the loop's metrics move every
// fifteen seconds, then come a scrape, an evaluation and a notification.
const (
	ruleWithin   = 60 * time.Second
	seriesWithin = 45 * time.Second
)

// openRule is the alerting rule of a deployment that is called regressed.
const openRule = "DeployRegressedOpen"

// StackResult is what the Prometheus and the Alertmanager beside the loop showed.
type StackResult struct {
	Prometheus string `json:"prometheus"` // its URL

	VerdictToRule     Seconds  `json:"verdict_to_rule_firing_seconds"`          // 0: the rule did not fire
	RuleInPager       Seconds  `json:"verdict_to_rule_in_alertmanager_seconds"` // 0: Alertmanager did not have it
	RollbackToCleared Seconds  `json:"rollback_to_rule_cleared_seconds"`        // 0: it did not clear in both
	Firing            []string `json:"rules_firing_at_the_end,omitempty"`

	Queries int      `json:"dashboard_queries"`
	Empty   []string `json:"dashboard_queries_without_series,omitempty"`
	Problem string   `json:"rules_problem,omitempty"`
}

// check says what the stack had to show and did not.
func (s *StackResult) check() (problems []string) {
	missed := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	missed(s.VerdictToRule == 0, "the rule %s did not fire in Prometheus", openRule)
	missed(s.RuleInPager == 0, "the rule %s did not reach Alertmanager", openRule)
	missed(s.RollbackToCleared == 0, "the rule %s did not clear after the rollback", openRule)
	missed(len(s.Firing) > 0, "rules fire at the end: %v", s.Firing)
	missed(s.Problem != "", "%s", s.Problem)
	missed(s.Queries == 0, "no query of the dashboards was asked")
	for _, e := range s.Empty {
		missed(true, "a dashboard shows nothing: %s", e)
	}
	return problems
}

// awaitRule waits until Prometheus' own rule has told of the bad deployment,
// and asks what the dashboards ask while it is open.
func (p *play) awaitRule(ctx context.Context, deployment string) error {
	if p.stack == nil {
		return nil
	}
	s := p.result.Stack
	verdict := p.begin.Add(time.Duration(p.result.StartToVerdict))
	err := p.until(ctx, ruleWithin, func() (bool, error) {
		firing, _, err := p.stack.firing(ctx, "checkout")
		if err != nil {
			return false, err
		}
		if s.VerdictToRule == 0 && slices.Contains(firing, openRule) {
			s.VerdictToRule = Seconds(time.Since(verdict))
		}
		held, err := p.pager.holds(ctx, openRule, "checkout")
		if s.VerdictToRule != 0 && held {
			s.RuleInPager = Seconds(time.Since(verdict))
		}
		return s.RuleInPager != 0, err
	})
	if err != nil {
		return err
	}
	if s.RuleInPager == 0 {
		p.bad("Prometheus' rule %s was not in Alertmanager within %s of the verdict", openRule, ruleWithin)
		return nil
	}
	p.bad("Prometheus' own rule %s fires, and is in Alertmanager", openRule)
	// What only a rollback shows is not there yet.
	return p.askDashboards(ctx, func(dashboards.Board) map[string]string {
		return map[string]string{"service": "checkout", "environment": environment, "deployment": deployment, "pipeline": pipeline}
	}, "How anomalies ended", "Time to restore")
}

// awaitClear waits until nothing of the bad deployment is left in Prometheus
// and Alertmanager, and asks what the dashboards ask when all is over.
func (p *play) awaitClear(ctx context.Context, rollback time.Time) error {
	if p.stack == nil {
		return nil
	}
	s := p.result.Stack
	err := p.until(ctx, ruleWithin, func() (bool, error) {
		here, elsewhere, err := p.stack.firing(ctx, "checkout")
		if err != nil {
			return false, err
		}
		s.Firing = slices.Concat(here, elsewhere)
		held, err := p.pager.holds(ctx, openRule, "checkout")
		if err == nil && !held && !slices.Contains(here, openRule) {
			s.RollbackToCleared = Seconds(time.Since(rollback))
		}
		return s.RollbackToCleared != 0 && len(s.Firing) == 0, err
	})
	if err != nil {
		return err
	}
	if s.RollbackToCleared != 0 {
		p.good("Prometheus' rule %s has cleared, in Alertmanager too", openRule)
	}
	if err := p.stack.unhealthy(ctx); err != nil {
		s.Problem = err.Error()
	}
	return p.askDashboards(ctx, func(b dashboards.Board) map[string]string {
		if b.UID == dashboards.OneDeployment {
			return map[string]string{"deployment": p.result.BadDeployment}
		}
		return nil // all
	})
}

// askDashboards sends every query of every dashboard, as Grafana would with what
// is chosen on it, until each has an answer with series, but those of panels that
// have nothing yet.
func (p *play) askDashboards(ctx context.Context, chosen func(dashboards.Board) map[string]string, notYet ...string) error {
	boards, err := dashboards.Boards()
	if err != nil {
		return err
	}
	var asked int
	var empty []string
	err = p.until(ctx, seriesWithin, func() (bool, error) {
		asked, empty = 0, nil
		for _, b := range boards {
			choice := dashboards.Choice{
				Variables:    chosen(b),
				Range:        time.Since(p.stack.begun).Truncate(time.Second),
				RateInterval: 4 * scrapeEvery, // as Grafana has it
			}
			answers, err := b.Ask(ctx, p.stack.url, choice)
			if err != nil {
				return false, err
			}
			for _, a := range answers {
				asked++
				if a.Empty() && !slices.Contains(notYet, a.Panel) {
					empty = append(empty, a.String())
				}
			}
		}
		return len(empty) == 0, nil
	})
	if err != nil {
		return err
	}
	s := p.result.Stack
	s.Queries += asked
	s.Empty = append(s.Empty, empty...)
	if len(empty) == 0 {
		p.good("all %d queries of the %d dashboards return series", asked, len(boards))
	} else {
		p.bad("%d of %d queries of the dashboards return no series", len(empty), asked)
	}
	return nil
}
