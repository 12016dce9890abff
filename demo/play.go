// Package demo plays the whole loop on real parts: services under load, a git
// repository, a deploy that is good and one that is not, the verdict, the
// alert, the rollback and the end of the alert. Nothing is faked past the
// services themselves.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/deployloop/deployloop/demo/shop"
	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// Options of a run.
type Options struct {
	Fault        shop.Fault
	Alertmanager string // URL of one to tell; "": start one, or stand in for it
	Headless     bool   // end when the loop has closed
	Stack        bool   // a real Prometheus beside it, and a real Alertmanager
}

// How long each part may take.
const (
	checkouts      = 4
	goodFor        = 15 * time.Second // traffic of the good release
	verdictWithin  = 4 * time.Minute
	alertWithin    = 45 * time.Second
	rollbackWithin = 20 * time.Second // a person may run the command first
	resolveWithin  = 2 * time.Minute
)

// historyFor is how long the baseline has traffic before the first deploy. Work
// can only be missed where it was seen to be regular, for a minute.
func historyFor(fault string) time.Duration {
	if fault == "vanished" {
		return 72 * time.Second
	}
	return 30 * time.Second
}

// The rollouts of checkout. The bad one stays at half way, as a careful rollout
// does: both versions serve side by side, and what happens to both of them (a
// busy machine) is told from what only the new one does.
var (
	goodPace     = pace{step: 2 * time.Second}
	badPace      = pace{step: 6 * time.Second, half: 100 * time.Second}
	rollbackPace = pace{step: time.Second}
)

// play is one run of the loop.
type play struct {
	Options
	*narrator
	dir       string
	repo      *repository
	pager     *pager
	collector *collector
	stack     *stack // nil without Options.Stack
	cluster   *cluster
	customers *customers
	deployer  *deployer
	result    *Result
}

// Run plays the loop and tells it on w. The result says what was seen; the
// error why it could not be played.
func Run(ctx context.Context, o Options, w io.Writer) (result *Result, err error) {
	if o.Stack {
		if err := needPrograms(stackPrograms(o.Alertmanager)); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "deployloop-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	logPath := filepath.Join(dir, "demo.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w%s", err, lastLines(logPath, 15))
		}
	}()

	p := &play{Options: o, narrator: newNarrator(w, time.Now()), dir: dir, result: &Result{Fault: o.Fault.Name}}
	fmt.Fprintf(w, "\n  %s  %s\n", p.p.Bold("deployloop demo"), p.p.Dim("a shop, a bad commit, and the loop that catches it"))

	if p.repo, err = createRepository(filepath.Join(dir, "shop"), o.Fault, time.Now()); err != nil {
		return nil, fmt.Errorf("cannot create the shop's repository: %w", err)
	}
	if p.pager, err = newPager(ctx, o.Alertmanager, dir, log); err != nil {
		return nil, err
	}
	defer p.pager.stop()
	if p.deployer, err = newDeployer(); err != nil {
		return nil, err
	}
	defer p.deployer.close()
	if p.collector, err = startCollector(ctx, dir, p.repo.path, p.pager.url, o.Stack, log); err != nil {
		return nil, err
	}
	defer p.collector.process.stop()
	if o.Stack {
		if p.stack, err = startStack(ctx, dir, p.pager.url, p.collector.scraped, log); err != nil {
			return nil, err
		}
		defer p.stack.process.stop()
		p.result.Stack = &StackResult{Prometheus: p.stack.url}
	}

	fmt.Fprintf(w, "\n  page          %s\n  alerts        %s  %s\n  repository    %s  %s\n  log           %s\n",
		p.p.Link(p.collector.page), p.p.Link(p.pager.url), p.p.Dim(p.pager.kind),
		p.repo.path, p.p.Dim(fmt.Sprintf("%d commits by %d authors", len(p.repo.commits), authors(p.repo.commits))), logPath)
	p.result.Alertmanager = p.pager.kind
	if p.stack != nil {
		fmt.Fprintf(w, "  prometheus    %s  %s\n", p.p.Link(p.stack.url), p.p.Dim("with rules/deployloop.yaml; Grafana's dashboards are in dashboards/"))
	}

	p.cluster = newCluster(p.collector.otlp, o.Fault.Name, log)
	defer p.cluster.stop()
	storefront, err := p.openShop(ctx)
	if err != nil {
		return nil, err
	}
	p.customers = newCustomers(storefront)
	shopping, closeShop := context.WithCancel(ctx)
	closed := make(chan struct{})
	go func() { defer close(closed); p.customers.shop(shopping) }()
	defer func() { closeShop(); <-closed }()

	if err := p.loop(ctx); err != nil {
		return nil, err
	}
	p.result.Requests, p.result.Failed, p.result.TurnedAway = p.customers.sent.Load(), p.customers.failed.Load(), p.customers.turnedAway.Load()
	p.result.check()
	p.summarize()
	if !o.Headless && p.result.Passed {
		p.chapter("The page stays up at " + p.p.Link(p.collector.page) + " until you press Ctrl-C.")
		<-ctx.Done()
	}
	return p.result, nil
}

func (p *play) openShop(ctx context.Context) (string, error) {
	baseline := p.repo.release[shop.Baseline]
	payments, err := p.cluster.add(ctx, "payments", "", 2, baseline)
	if err != nil {
		return "", err
	}
	checkout, err := p.cluster.add(ctx, "checkout", payments, checkouts, baseline)
	if err != nil {
		return "", err
	}
	return p.cluster.add(ctx, "storefront", checkout, 2, baseline)
}

// loop is the story: good deploy, pull request, bad deploy, verdict, alert, rollback, end.
func (p *play) loop(ctx context.Context) error {
	p.chapter("The shop opens")
	if err := p.collector.push(ctx, mainBranch, p.repo.upTo("", shop.Baseline)); err != nil {
		return err
	}
	if err := p.collector.build(ctx, p.repo, mainBranch, p.repo.release[shop.Baseline].revision); err != nil {
		return err
	}
	p.step("8 processes of 3 services serve %d requests a second; checkout is at %s (%s)",
		requestsPerSecond, shop.Baseline, event.ShortRevision(p.repo.release[shop.Baseline].revision))
	if err := p.watch(ctx, historyFor(p.Fault.Name)); err != nil {
		return err
	}

	p.chapter("A good deploy")
	if err := p.deployGood(ctx); err != nil {
		return err
	}

	p.chapter("A pull request")
	if err := p.openPull(ctx); err != nil {
		return err
	}

	p.chapter("A bad deploy")
	bad, err := p.deployBad(ctx)
	if err != nil || bad == nil {
		return err
	}
	if err := p.awaitAlert(ctx, bad.Deployment.ID); err != nil {
		return err
	}
	if err := p.awaitRule(ctx, bad.Deployment.ID); err != nil {
		return err
	}

	p.chapter("The rollback")
	return p.rollBack(ctx, bad.Deployment)
}

// watch lets traffic flow, and fails when a process ends that should not.
func (p *play) watch(ctx context.Context, d time.Duration) error {
	return p.until(ctx, d, func() (bool, error) { return false, nil })
}

// until asks every quarter of a second, for as long as d, whether done.
func (p *play) until(ctx context.Context, d time.Duration, done func() (bool, error)) error {
	for deadline := time.Now().Add(d); time.Now().Before(deadline); {
		if p.collector.process.ended() {
			return errors.New("the Collector ended")
		}
		if p.stack != nil && p.stack.process.ended() {
			return errors.New("Prometheus ended")
		}
		if who := p.cluster.died(); who != "" {
			return fmt.Errorf("%s ended", who)
		}
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// announce tells deployloop of a deployment's begin or end.
func (p *play) announce(ctx context.Context, from, to release, status event.DeploymentStatus, begun time.Time) error {
	d := cicd.DeploymentRequest{
		Service: "checkout", Environment: environment, Repository: repositoryName,
		Revision: to.revision, PreviousRevision: from.revision, Version: to.version, PreviousVersion: from.version,
		Status: string(status), StartedAt: begun, RollbackCommand: p.deployer.command(from.version),
	}
	if status != event.DeploymentStarted {
		d.FinishedAt = time.Now()
	}
	return p.collector.mark(ctx, d)
}

func (p *play) deployGood(ctx context.Context) error {
	from, to := p.repo.release[shop.Baseline], p.repo.release[shop.Good]
	commits := p.repo.upTo(from.version, to.version)
	if err := p.pushAndBuild(ctx, commits, to); err != nil {
		return err
	}
	begun := time.Now()
	if err := p.announce(ctx, from, to, event.DeploymentStarted, begun); err != nil {
		return err
	}
	p.step("checkout %s → %s: %d commits, rolled out instance by instance", from.version, to.version, len(commits))
	if _, err := p.cluster.roll(ctx, "checkout", to, goodPace); err != nil {
		return err
	}
	if err := p.announce(ctx, from, to, event.DeploymentSucceeded, begun); err != nil {
		return err
	}
	if err := p.watch(ctx, goodFor); err != nil {
		return err
	}
	d, known, err := p.collector.deploymentOf(ctx, "checkout", to.revision)
	if err != nil {
		return err
	}
	if !known {
		return errors.New("the page does not know the good deployment")
	}
	p.noteGood(d)
	if p.result.GoodSilent {
		p.good("%s", goodSoFar(d.Verdict))
	} else {
		p.bad("%s", headline(d.Verdict))
	}
	return nil
}

// goodSoFar is what may be said of a deployment that nothing speaks against: a
// verdict of healthy takes a minute at least, longer than the demo waits.
func goodSoFar(v *event.Verdict) string {
	if v == nil || v.State != event.Watching {
		return headline(v) + ", no alert"
	}
	return fmt.Sprintf("no sign of harm in its first %s requests, no alert; healthy is not said before a minute", wording.Count(v.NewRequests))
}

func (p *play) noteGood(d deployment) {
	p.result.GoodDeployment = d.Deployment.ID
	if d.Verdict != nil {
		p.result.GoodVerdict = d.Verdict.State
	}
	p.result.GoodSilent = p.result.GoodVerdict != event.Regressed && len(p.pager.of(d.Deployment.ID)) == 0
}

func headline(v *event.Verdict) string {
	if v == nil {
		return "no verdict yet"
	}
	return wording.Headline(*v)
}

// deployBad rolls the bad release out until the verdict stops it. A nil
// deployment without an error: there was no verdict.
func (p *play) deployBad(ctx context.Context) (*deployment, error) {
	from, to := p.repo.release[shop.Good], p.repo.release[shop.Bad]
	commits := p.repo.upTo(from.version, to.version)
	if err := p.pushAndBuild(ctx, commits, to); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := p.announce(ctx, from, to, event.DeploymentStarted, begun); err != nil {
		return nil, err
	}
	p.step("checkout %s → %s: %d commits, one of them bad: %s", from.version, to.version, len(commits), p.p.Dim(p.Fault.Summary))

	type rolled struct {
		count int
		err   error
	}
	rolling, halt := context.WithCancel(ctx)
	defer halt()
	done := make(chan rolled, 1)
	go func() {
		n, err := p.cluster.roll(rolling, "checkout", to, badPace)
		done <- rolled{n, err}
	}()

	var found deployment
	regressed := false
	var rollError error
	err := p.until(ctx, verdictWithin, func() (bool, error) {
		select {
		case r := <-done:
			if rollError = r.err; rollError != nil {
				return false, rollError
			}
			done <- r
		default:
		}
		d, known, err := p.collector.deploymentOf(ctx, "checkout", to.revision)
		if err != nil || !known {
			return false, err
		}
		found = d
		regressed = d.Verdict != nil && d.Verdict.State == event.Regressed
		return regressed, nil
	})
	verdictAt := time.Now()
	halt()
	r := <-done
	if err != nil {
		return nil, err
	}
	if r.err != nil && !errors.Is(r.err, context.Canceled) {
		return nil, r.err
	}
	p.result.Culprit = p.repo.culprit
	p.result.BadDeployment = found.Deployment.ID
	if !regressed {
		p.bad("no verdict of harm within %s: %s", verdictWithin, headline(found.Verdict))
		return nil, nil
	}
	v := found.Verdict
	p.result.Verdict, p.result.Reason, p.result.Control, p.result.Nats = v.State, v.Reason, v.Control, v.Nats
	p.result.StartToVerdict = Seconds(verdictAt.Sub(p.begin))
	p.result.DeployToVerdict = Seconds(verdictAt.Sub(begun))
	if !v.FirstBadAt.IsZero() {
		p.result.FirstBadToVerdict = Seconds(verdictAt.Sub(v.FirstBadAt))
	}
	p.bad("%s", wording.Headline(*v))
	p.detail("stopped", fmt.Sprintf("the rollout, with %d of %d instances new", r.count, checkouts))
	return &found, nil
}

// awaitAlert waits until the person on call has been told, and shows what.
func (p *play) awaitAlert(ctx context.Context, id string) error {
	var told page
	err := p.until(ctx, alertWithin, func() (ok bool, err error) {
		told, ok = p.pager.rollUp(id)
		return ok, nil
	})
	if err != nil {
		return err
	}
	var d deployment
	if err := p.collector.get(ctx, "/api/v1/deployments/"+id, &d); err != nil {
		return err
	}
	if v := d.Verdict; v != nil {
		for _, a := range d.Anomalies {
			if a.Kind == event.KindDeployment {
				p.detail("why", wording.Why(a))
			}
		}
		if s := v.Suspicion; s != nil {
			p.result.Abstained = s.Abstained
			p.detail("commit", wording.SuspectSentence(s))
			if len(s.Suspects) > 0 {
				first := s.Suspects[0]
				p.result.Suspect, p.result.Confidence = first.Change.Revision, first.Probability
				p.patch(first.Hunk, 14)
			}
		}
	}
	if told.Labels == nil {
		p.bad("no alert within %s", alertWithin)
		return nil
	}
	p.result.Alert = told.Annotations["summary"]
	alertAt := told.FiredAt.Sub(p.begin)
	p.result.DeployToAlert = Seconds(alertAt) - p.result.StartToVerdict + p.result.DeployToVerdict
	p.result.VerdictToAlert = max(0, Seconds(alertAt)-p.result.StartToVerdict)
	p.bad("alert: %s", told.Annotations["summary"])
	p.detail("fix", p.p.Bold(told.Annotations["fix"]))
	p.detail("page", p.p.Link(p.collector.page+"/deployments/"+id))
	return nil
}

// rollBack runs the rollback command that the alert gave, unless whoever
// watches does so first, and waits for the alert to end.
func (p *play) rollBack(ctx context.Context, bad event.Deployment) error {
	wait := rollbackWithin
	if p.Headless {
		wait = 3 * time.Second
	} else {
		p.step("run that command yourself, or wait %s for the demo to do it", wait)
	}
	select {
	case <-p.deployer.rollback:
		p.step("you rolled back")
	case <-time.After(wait):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	from, to := p.repo.release[shop.Bad], p.repo.release[shop.Good]
	begun := time.Now()
	if err := p.announce(ctx, from, to, event.DeploymentStarted, begun); err != nil {
		return err
	}
	p.step("checkout %s → %s", from.version, to.version)
	if _, err := p.cluster.roll(ctx, "checkout", to, rollbackPace); err != nil {
		return err
	}
	if err := p.announce(ctx, from, to, event.DeploymentSucceeded, begun); err != nil {
		return err
	}

	var closure *event.Closure
	resolved := false
	err := p.until(ctx, resolveWithin, func() (bool, error) {
		var d deployment
		if err := p.collector.get(ctx, "/api/v1/deployments/"+bad.ID, &d); err != nil {
			return false, err
		}
		for _, a := range d.Anomalies {
			if a.Kind == event.KindDeployment && a.Closure != nil {
				closure = a.Closure
			}
		}
		told, ok := p.pager.rollUp(bad.ID)
		if ok && !told.ResolvedAt.IsZero() {
			p.result.RollbackToResolve, resolved = Seconds(told.ResolvedAt.Sub(begun)), true
		}
		return resolved && closure != nil, nil
	})
	if err != nil {
		return err
	}
	if closure != nil {
		p.result.Closure = closure.Reason
	}
	if resolved && closure != nil {
		p.good("alert resolved: %s", wording.Resolution(*closure))
	} else {
		p.bad("the alert had not ended after %s", resolveWithin)
	}
	// The good deployment must have stayed silent to the end.
	good, known, err := p.collector.deploymentOf(ctx, "checkout", to.revision)
	if err == nil && known && good.Deployment.ID == p.result.GoodDeployment {
		p.noteGood(good)
	} else {
		p.result.GoodSilent = p.result.GoodSilent && len(p.pager.of(p.result.GoodDeployment)) == 0
	}
	return p.awaitClear(ctx, begun)
}
