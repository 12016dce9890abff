package forgeexporter

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost"
)

// teller keeps a forge equal to the latest verdicts. Consume only notes what
// is known; one goroutine writes it. What waits is the latest state of a
// deployment, never a queue of past ones, so nothing stale is told when the
// forge comes back.
type teller struct {
	cfg    *Config
	set    component.TelemetrySettings
	logger *zap.Logger
	writes metric.Int64Counter

	now     func() time.Time
	sleep   func(context.Context, time.Duration) // until the context ends at most
	forge   forgeapi.Forge
	ledger  ledger.Recorder // nil: none runs here
	wake    chan struct{}
	cancel  context.CancelFunc
	stopped sync.WaitGroup

	lookAt   time.Time // when replies are looked for again; the writer's alone
	answered *lru.Cache[string, struct{}]
	first    int // of the parts of step, as the last one left it; the writer's alone

	mu          sync.Mutex
	builds      builds
	deployments map[string]*deployment // by id
	recent      []string               // of deployments, oldest first
	order       []string               // those that wait to be told, oldest first
}

// deployment is what is known of one and what the forge was last told.
type deployment struct {
	repository string
	target     string    // environment, service and commit: deployments of the same share a status
	at         time.Time // of the newest verdict
	closedAt   time.Time // of the newest word on how its alert is
	closure    *event.Closure
	pending    *event.Verdict // nil once it is told

	status  string // key of what was written last
	wrote   written
	comment string
	// commentID on pull is its comment; 0: not known.
	commentID, pull int64
	ofSuspect       bool

	anomaly     string // the id of its alert, once that is known
	regressedAt time.Time
	waived      bool     // by a reply; the closure comes with the next record
	warn        *warning // of open pull requests; nil: none, or done
	warned      bool
}

// maxKnown bounds the deployments that are kept in mind.
const maxKnown = 5000

func newTeller(set exporter.Settings, cfg *Config) (*teller, error) {
	writes, err := set.MeterProvider.Meter("github.com/deployloop/deployloop/exporter/forgeexporter").
		Int64Counter("deployloop.forge.writes", metric.WithUnit("{write}"),
			metric.WithDescription("What was told to the forge, by outcome: status_written, status_unchanged, status_restored, comment_created, comment_edited, comment_unchanged, duplicate_removed, no_pull_request, waived, waiver_refused, waiver_invalid, pull_warned, no_repository, no_commit, retryable, permanent, overflow, undecodable"))
	if err != nil {
		return nil, err
	}
	answered, err := lru.New[string, struct{}](maxAnswered)
	if err != nil {
		return nil, err
	}
	return &teller{
		answered: answered, cfg: cfg, set: set.TelemetrySettings, logger: set.Logger, writes: writes, now: time.Now, sleep: sleep,
		wake: make(chan struct{}, 1), deployments: map[string]*deployment{},
	}, nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (t *teller) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (t *teller) Start(ctx context.Context, host component.Host) error {
	var err error
	if t.ledger, err = ledgerhost.Recorder(host, t.cfg.Ledger); err != nil {
		return err
	}
	if t.cfg.honoursWaivers() && t.ledger == nil {
		return fmt.Errorf("ledger: no extension %q is running; add it to service::extensions, or set waivers: false", t.cfg.Ledger)
	}
	httpClient, err := t.cfg.ToClient(ctx, host.GetExtensions(), t.set)
	if err != nil {
		return err
	}
	if t.forge, err = t.cfg.Client(httpClient, rate.NewLimiter(rate.Limit(t.cfg.RequestsPerSecond), 1), t.now); err != nil {
		return err
	}
	// The writer outlives Start's context by design; Shutdown ends it.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.stopped.Go(func() { t.run(run); closeIdle(httpClient) })
	return nil
}

func closeIdle(client *http.Client) { client.CloseIdleConnections() }

func (t *teller) Shutdown(context.Context) error {
	if t.cancel != nil {
		t.cancel()
		t.stopped.Wait()
	}
	return nil
}

// ConsumeLogs notes the verdicts and closures in ld; it never waits for the forge.
func (t *teller) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				t.consume(ctx, rl.Resource(), lr)
			}
		}
	}
	return nil
}

func (t *teller) consume(ctx context.Context, resource pcommon.Resource, lr plog.LogRecord) {
	switch eventotlp.Name(lr) {
	case event.NameVerdict:
		v, err := eventotlp.DecodeVerdict(resource, lr)
		if err != nil || v.Deployment.ID == "" {
			t.count(ctx, "undecodable")
			return
		}
		t.note(ctx, v, nil)
	case event.NameFeedback:
		f, err := eventotlp.DecodeFeedback(resource, lr)
		if err != nil {
			t.count(ctx, "undecodable")
			return
		}
		t.noteBuild(ctx, f)
	case event.NameAnomaly:
		a, err := eventotlp.DecodeAnomaly(resource, lr)
		if err != nil {
			t.count(ctx, "undecodable")
			return
		}
		// The roll-up speaks for its symptoms; it carries the verdict.
		if a.Kind == event.KindDeployment && a.Verdict != nil && a.Verdict.Deployment.ID != "" {
			t.note(ctx, *a.Verdict, &a)
		}
	}
}

// note merges a record into what is known of its deployment.
func (t *teller) note(ctx context.Context, v event.Verdict, a *event.Anomaly) {
	mode := v.Mode
	if a != nil {
		mode = a.Mode
	}
	if v.Deployment.Baseline || mode != event.Advise && mode != event.Gate {
		return
	}
	repository := t.cfg.repositoryOf(v.Deployment.Service, v.Deployment.Repository)
	if repository == "" {
		t.count(ctx, "no_repository")
		return
	}
	if !commit.MatchString(v.Deployment.Revision) {
		t.count(ctx, "no_commit")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.deployments[v.Deployment.ID]
	if d == nil {
		d = &deployment{}
		t.deployments[v.Deployment.ID] = d
		t.recent = append(t.recent, v.Deployment.ID)
		t.forgetOldest(ctx)
	}
	if a != nil && !a.At.Before(d.closedAt) {
		d.closedAt, d.closure = a.At, a.Closure
		d.anomaly = a.ID
	}
	if v.At.Before(d.at) && (a == nil || d.pending != nil) {
		return // out of order; a closure joins what waits
	}
	if v.At.After(d.at) {
		d.at = v.At
	}
	d.repository, d.regressedAt = repository, v.RegressedAt
	d.target = targetOf(v.Deployment)
	t.noteWarning(d, v)
	if know := (told{v, d.closure}); t.statusDue(d, know) || t.commentDue(d, know) {
		d.pending = &v
		t.enqueue(ctx, v.Deployment.ID)
	} else {
		d.pending = nil
	}
}

func (t *teller) statusDue(d *deployment, know told) bool {
	return t.cfg.Statuses && d.status != statusKey(know)
}

// commentDue: a comment is made only when a deployment regressed, and one that
// may be there is kept true.
func (t *teller) commentDue(d *deployment, know told) bool {
	v := know.verdict
	if !t.cfg.Comments || d.comment == commentKey(know) {
		return false
	}
	if mayCreate(know) {
		return d.commentID != 0 || v.Suspicion != nil || v.At.Sub(v.RegressedAt) >= t.cfg.SuspectPatience
	}
	return d.commentID != 0 || !v.RegressedAt.IsZero()
}

// mayCreate: what is over is not worth a new comment.
func mayCreate(know told) bool {
	return know.verdict.State == event.Regressed && know.closure == nil
}

// forgetOldest keeps the bound of deployments; t.mu is held.
func (t *teller) forgetOldest(ctx context.Context) {
	if len(t.recent) > maxKnown {
		if d := t.deployments[t.recent[0]]; d != nil && d.pending != nil {
			t.count(ctx, "overflow") // max_pending may be more
		}
		delete(t.deployments, t.recent[0])
		t.recent = t.recent[1:]
	}
}

// enqueue puts a deployment on the list once; t.mu is held.
func (t *teller) enqueue(ctx context.Context, id string) {
	for _, waits := range t.order {
		if waits == id {
			return
		}
	}
	if len(t.order) >= t.cfg.MaxPending {
		if d := t.deployments[t.order[0]]; d != nil {
			d.pending = nil // its next heartbeat brings it back
		}
		t.order = t.order[1:]
		t.count(ctx, "overflow")
	}
	t.order = append(t.order, id)
	t.rouse()
}

// rouse lets an idle writer look for work.
func (t *teller) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// next takes the deployment that waits longest, with a copy of what is known.
func (t *teller) next() (id string, have deployment, know told, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.order) > 0 {
		id, t.order = t.order[0], t.order[1:]
		if d := t.deployments[id]; d != nil && d.pending != nil {
			return id, *d, told{*d.pending, d.closure}, true
		}
	}
	return "", deployment{}, told{}, false
}

// settle notes what the forge was told. Whatever came meanwhile, or is still
// to be told after a failure, goes to the end of the list: one that fails
// again and again does not hold up the rest.
func (t *teller) settle(ctx context.Context, id string, have deployment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.deployments[id]
	if d == nil {
		return
	}
	d.status, d.wrote, d.comment, d.commentID, d.pull, d.ofSuspect = have.status, have.wrote, have.comment, have.commentID, have.pull, have.ofSuspect
	if d.pending == nil {
		return
	}
	if know := (told{*d.pending, d.closure}); t.statusDue(d, know) || t.commentDue(d, know) {
		t.enqueue(ctx, id)
	} else {
		d.pending = nil
	}
}

func (t *teller) count(ctx context.Context, outcome string) {
	t.writes.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}
