package ledger

import (
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// clockSkew is how far clocks of sources may be apart.
const clockSkew = 2 * time.Minute

// SourceTelemetry names the inference from telemetry in a deployment's sources.
const SourceTelemetry = "telemetry"

// RecordDeployment reconciles d with what is known and returns the deployment
// it became; isNew says that it was not known before. It is the same
// deployment as a known one if, in this order,
//
//  1. it carries an id that is an alias of that one;
//  2. it names the same revision (else version), no source told two different
//     ids, no other deployment started in between, and both were told of
//     within ReconcileWithin;
//  3. one is known by its version alone and the other by its revision alone,
//     by different sources, and both started within ReconcileWithin of each
//     other (a quarter of an hour, where none of the sources is telemetry, which
//     says what is there) with nothing in between.
//
// A deployment that names no service, or neither revision nor version nor a
// known id, is returned as it came and counted as "unidentified_deployments".
func (l *Ledger) RecordDeployment(d event.Deployment) (became event.Deployment, isNew bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tidy(&d)
	x := l.byAlias(&d)
	if x == nil && (d.Service == "" || d.Revision == "" && d.Version == "") {
		l.dropped["unidentified_deployments"]++
		return d, false
	}
	if x == nil {
		p := l.placeOf(d.Service, d.Environment)
		if p == nil {
			return d, false
		}
		if x = p.match(&d, l.limits.ReconcileWithin); x == nil {
			x = l.add(p, d)
			isNew = !x.Baseline
		}
	}
	undone := x.Status == event.DeploymentRolledBack
	if l.merge(x, &d) || isNew {
		l.changed(x.place, x)
		l.touch(kindDeployment, x.ID)
		l.tell("deployment", x.ID, l.latest)
	}
	if !undone && x.Status == event.DeploymentRolledBack {
		l.goBack(x, d.Sources[0])
	}
	l.enforce(x.place)
	return cloneDeployment(x.Deployment), isNew
}

// tidy bounds d's text, and fills the times, the environment and the source.
func (l *Ledger) tidy(d *event.Deployment) {
	for _, name := range []*string{
		&d.ID, &d.Service, &d.Environment, &d.Revision, &d.PreviousRevision,
		&d.Version, &d.PreviousVersion, &d.RollbackOf, &d.Repository,
	} {
		*name = cut(*name, maxName)
	}
	d.URL, d.RollbackCommand = cut(d.URL, maxText), cut(d.RollbackCommand, maxText)
	*d = cloneDeployment(*d)
	d.Aliases = bounded(d.Aliases, maxAliases)
	d.Instances = bounded(d.Instances, maxList)
	if len(d.Sources) > maxSources {
		d.Sources = d.Sources[:maxSources]
	}
	if d.Environment == "" {
		d.Environment = event.DefaultEnvironment
	}
	if d.ID != "" && !slices.Contains(d.Aliases, d.ID) {
		d.Aliases = append(d.Aliases, d.ID)
	}
	d.ID = ""
	var sourceAt time.Time
	if len(d.Sources) > 0 {
		sourceAt = d.Sources[0].At
	}
	for _, t := range []time.Time{d.FinishedAt, d.FirstSeenAt, sourceAt, l.latest} {
		if d.StartedAt.IsZero() {
			d.StartedAt = t
		}
	}
	if d.FinishedAt.IsZero() && finished(d.Status) {
		d.FinishedAt = later(d.StartedAt, sourceAt)
	}
	l.notAhead(d, sourceAt)
	l.clock(d.StartedAt)
	l.clock(d.FinishedAt)
	if len(d.Sources) == 0 {
		d.Sources = []event.Source{{Name: "unknown"}}
	}
	if d.Sources[0].At.IsZero() {
		d.Sources[0].At = d.StartedAt
	}
}

// notAhead brings back a start that lies beyond when its source told of it, and
// what hangs on it: left so, a deployment told of tomorrow would be its place's
// newest until then.
func (l *Ledger) notAhead(d *event.Deployment, told time.Time) {
	if told.IsZero() || !d.StartedAt.After(told.Add(clockSkew)) {
		return
	}
	for _, t := range []*time.Time{&d.StartedAt, &d.FinishedAt, &d.FirstSeenAt} {
		if t.After(told) {
			*t = told
		}
	}
	l.dropped["deployment_times_ahead"]++
}

// byAlias finds what d's ids name. A ledger's own id only counts within the
// time rules of match, since it is computed from the revision and a source
// that counts no ordinals gives the same one for A → B → A.
func (l *Ledger) byAlias(d *event.Deployment) *deployment {
	for _, id := range d.Aliases {
		x := l.aliases[id]
		if x == nil || d.Service != "" && (x.Service != d.Service || x.Environment != d.Environment) {
			continue
		}
		if compare(x.Revision, d.Revision, event.SameRevision) < 0 {
			continue // the source uses one id for several things
		}
		return x
	}
	if d.Revision != "" || d.Version != "" {
		return nil
	}
	for _, id := range d.Aliases {
		if x := l.deployments[id]; x != nil {
			return x
		}
	}
	return nil
}

// match finds the deployment of p that d tells of, by rules 2 and 3 of RecordDeployment.
func (p *place) match(d *event.Deployment, within time.Duration) *deployment {
	nextStart := time.Time{} // of the next deployment of something else
	for i, x := range slices.Backward(p.deployments) {
		same := x.names(d)
		if same && x.sameRollout(d, nextStart, within) {
			return x
		}
		if i == len(p.deployments)-1 && x.complements(d) && x.near(d, x.complementWithin(d, within)) {
			return x
		}
		if !same {
			nextStart = x.StartedAt
		}
	}
	return nil
}

// names says whether d names what x deployed: the revision decides if both know it.
func (x *deployment) names(d *event.Deployment) bool {
	if r := compare(x.Revision, d.Revision, event.SameRevision); r != 0 {
		return r > 0
	}
	return (&build{version: x.Version, revision: x.Revision}).likeness(d.Version, d.Revision) > 0
}

// complements says whether the two are known by different sources, one by its
// version alone and the other by its revision, or one by its rollout alone.
func (x *deployment) complements(d *event.Deployment) bool {
	return !x.Baseline && apart(x.Sources, d.Sources) && !x.closed() &&
		(x.Revision == "" && unnamed(d.Version) || unnamed(x.Version) && d.Revision == "" ||
			unnamed(x.Version) && x.Revision == "" || unnamed(d.Version) && d.Revision == "")
}

func (x *deployment) closed() bool {
	return x.Status == event.DeploymentFailed || x.Status == event.DeploymentRolledBack
}

// complementWithin is how far apart two may have started that share no name. Two
// tools may each roll out something else within an hour.
func (x *deployment) complementWithin(d *event.Deployment, within time.Duration) time.Duration {
	if onlyTelemetry(x.Sources) || onlyTelemetry(d.Sources) {
		return within
	}
	return min(within, 15*time.Minute)
}

// unnamed holds where no version is known, or a rollout of Kubernetes alone.
func unnamed(version string) bool {
	version, _ = event.SplitRollout(version)
	return version == ""
}

// apart says whether no source told of both: one source names one thing alike.
func apart(x, y []event.Source) bool {
	return !slices.ContainsFunc(x, func(s event.Source) bool {
		return slices.ContainsFunc(y, func(t event.Source) bool { return s.Name == t.Name })
	})
}

func onlyTelemetry(sources []event.Source) bool {
	return !slices.ContainsFunc(sources, func(s event.Source) bool { return s.Name != SourceTelemetry })
}

// near says whether d started within the given time of x's span.
func (x *deployment) near(d *event.Deployment, within time.Duration) bool {
	end := later(x.StartedAt, later(x.FinishedAt, x.FirstSeenAt))
	return !d.StartedAt.Before(x.StartedAt.Add(-within)) && !d.StartedAt.After(end.Add(within))
}

// sameRollout tells a second telling of x from a new deployment of the same
// thing. nextStart is when something else was deployed after x, if it was.
func (x *deployment) sameRollout(d *event.Deployment, nextStart time.Time, within time.Duration) bool {
	if x.otherID(d) || !x.near(d, within) {
		return false
	}
	source := d.Sources[0].Name
	again := slices.ContainsFunc(x.Sources, func(s event.Source) bool { return s.Name == source })
	switch {
	case x.Baseline:
		// What caused the first sight began before it, and before anything
		// else did: a young baseline that is told of after another deployment
		// is the way back to it.
		return !d.StartedAt.After(x.FirstSeenAt.Add(clockSkew)) && (nextStart.IsZero() || d.StartedAt.Before(nextStart))
	case finished(d.Status) && x.Status == event.DeploymentStarted:
		return true // the end of what began, although told with the time of its end
	case !nextStart.IsZero() && !d.StartedAt.Before(nextStart):
		return false
	case again && !finished(d.Status) && finished(x.Status) && d.StartedAt.After(x.FinishedAt):
		return false // the same source began anew after it had ended
	}
	return true
}

// otherID says whether the source of d told another id of the same kind for x.
// An id that was made up for an event that named none tells nothing.
func (x *deployment) otherID(d *event.Deployment) bool {
	other := false
	for alias, source := range x.aliasSource {
		if source != d.Sources[0].Name || strings.HasPrefix(alias, event.GeneratedIDPrefix) {
			continue
		}
		for _, id := range d.Aliases {
			if id == alias {
				return false
			}
			if id != x.ID && idKind(id) == idKind(alias) && !strings.HasPrefix(id, event.GeneratedIDPrefix) {
				other = true
			}
		}
	}
	return other
}

// idKind is "github" of "github:7" and "github-release" of "github-release:7".
func idKind(id string) string {
	kind, _, namespaced := strings.Cut(id, ":")
	if !namespaced {
		return ""
	}
	return kind
}

// add records a deployment that is none of the known ones.
func (l *Ledger) add(p *place, d event.Deployment) *deployment {
	l.told++
	x := &deployment{
		Deployment: d, place: p, seq: l.told,
		previousTold: d.PreviousRevision != "" || d.PreviousVersion != "",
		rollbackTold: d.RollbackOf != "",
	}
	x.Aliases, x.Sources = nil, nil // merge adds them
	if x.RollbackOf != "" {
		if undone := l.find(x.RollbackOf); undone != nil {
			x.RollbackOf = undone.ID
		}
	}
	key := x.Revision
	if key == "" {
		key = x.Version
	}
	for _, other := range p.deployments {
		if other.Revision == key || other.Revision == "" && other.Version == key {
			x.Ordinal = max(x.Ordinal, other.Ordinal+1)
		}
	}
	for {
		x.ID = event.DeploymentID(x.Service, x.Environment, key, x.Ordinal)
		if l.find(x.ID) == nil {
			break
		}
		x.Ordinal++ // told before under another revision, or an alias of an absorbed one
	}
	x.build = p.buildFor(x)
	l.deployments[x.ID] = x
	p.deployments = insert(p.deployments, x)
	l.ordered = insert(l.ordered, x)
	return x
}

// buildFor returns the build that x deploys, last in the place's order. A
// known build serves if it adds to what x names; where x names more, it is a
// new one, since a version that stands for several revisions must not take
// the first revision that comes along.
func (p *place) buildFor(x *deployment) *build {
	b := p.resolve(x.Version, x.Revision)
	if b == nil || b.revision == "" && x.Revision != "" && !event.SameRevision(b.version, x.Revision) {
		b = &build{id: x.seq, version: x.Version, revision: x.Revision}
	} else {
		b.standAlone()
		p.builds = slices.DeleteFunc(p.builds, func(other *build) bool { return other == b })
		b.learn(x.Version, x.Revision)
		x.Version, x.Revision = orElse(x.Version, b.version), longer(x.Revision, b.revision) // the rollout may be another
	}
	p.builds = append(p.builds, b)
	return b
}

// learn takes what b did not know of itself.
func (b *build) learn(version, revision string) {
	b.version = event.FinerVersion(b.version, version)
	b.revision = longer(b.revision, revision)
}

// merge adds to x what d tells, and says whether anything did. What was told
// first stays, except that starts become earlier and statuses go forward.
func (l *Ledger) merge(x *deployment, d *event.Deployment) bool {
	was := cloneDeployment(x.Deployment)
	if !onlyTelemetry(d.Sources) {
		x.Baseline = d.Baseline
	}
	x.Version = event.FinerVersion(x.Version, d.Version)
	x.Revision = longer(x.Revision, d.Revision)
	x.build.learn(x.Version, x.Revision)
	if !x.previousTold && (d.PreviousRevision != "" || d.PreviousVersion != "") {
		x.previousTold = true
		x.PreviousRevision, x.PreviousVersion = d.PreviousRevision, d.PreviousVersion
	} else if x.previousTold {
		x.PreviousRevision = longer(x.PreviousRevision, d.PreviousRevision)
		x.PreviousVersion = orElse(x.PreviousVersion, d.PreviousVersion)
	}
	x.URL, x.Repository = orElse(x.URL, d.URL), orElse(x.Repository, d.Repository)
	if template := l.limits.rollbackCommand(x.Service, x.Environment); x.RollbackCommand == "" || x.RollbackCommand == template {
		x.RollbackCommand = orElse(d.RollbackCommand, template) // one of its own is better
	}
	if !d.FirstSeenAt.IsZero() && (x.FirstSeenAt.IsZero() || d.FirstSeenAt.Before(x.FirstSeenAt)) {
		x.FirstSeenAt = d.FirstSeenAt
	}
	if d.StartedAt.Before(x.StartedAt) {
		l.move(x, d.StartedAt)
	}
	forward(&x.Deployment, d)
	for _, instance := range d.Instances {
		if len(x.Instances) < maxList && !slices.Contains(x.Instances, instance) {
			x.Instances = append(x.Instances, instance)
		}
	}
	source := d.Sources[0].Name
	for _, id := range d.Aliases {
		l.alias(x, id, source)
	}
	for _, s := range d.Sources {
		s.Name, s.ID = cut(s.Name, maxName), cut(s.ID, maxName)
		s.Object, s.Release, s.Previous = cut(s.Object, maxName), cut(s.Release, maxName), cut(s.Previous, maxName)
		known := slices.IndexFunc(x.Sources, func(k event.Source) bool { return k.Name == s.Name && k.ID == s.ID })
		switch {
		case known >= 0: // the end of a rollout may know what its begin did not
			k := &x.Sources[known]
			k.Object, k.Release, k.Previous = orElse(k.Object, s.Object), orElse(s.Release, k.Release), orElse(k.Previous, s.Previous)
		case len(x.Sources) < maxSources:
			x.Sources = append(x.Sources, s)
		}
	}
	return !equalDeployment(was, x.Deployment)
}

// alias makes id another name of x; the first that an id was told of keeps it.
func (l *Ledger) alias(x *deployment, id, source string) {
	if id = cut(id, maxName); id == "" || len(x.Aliases) >= maxAliases || l.find(id) != nil {
		return
	}
	if x.aliasSource == nil {
		x.aliasSource = map[string]string{}
	}
	x.aliasSource[id] = source
	x.Aliases = append(x.Aliases, id)
	l.aliases[id] = x
}

// move gives x an earlier start, and its place in the orders.
func (l *Ledger) move(x *deployment, start time.Time) {
	x.place.deployments, l.ordered = remove(x.place.deployments, x), remove(l.ordered, x)
	x.StartedAt = start
	x.place.deployments, l.ordered = insert(x.place.deployments, x), insert(l.ordered, x)
}

// rank orders the statuses; a later telling never goes back.
func rank(s event.DeploymentStatus) int {
	switch s {
	case event.DeploymentStarted:
		return 1
	case event.DeploymentSucceeded, event.DeploymentFailed:
		return 2
	case event.DeploymentRolledBack:
		return 3
	}
	return 0
}

func finished(s event.DeploymentStatus) bool { return rank(s) >= 2 }

// forward applies d's status to x: the higher rank wins, then the later end.
func forward(x, d *event.Deployment) {
	r := rank(d.Status) - rank(x.Status)
	switch {
	case r > 0 && rank(d.Status) == 3 && rank(x.Status) == 2:
		x.Status = d.Status // it had ended before it was undone
	case r > 0:
		x.Status, x.FinishedAt = d.Status, d.FinishedAt
	case r == 0 && d.FinishedAt.After(x.FinishedAt):
		x.Status, x.FinishedAt = d.Status, d.FinishedAt
	case x.FinishedAt.IsZero():
		x.FinishedAt = d.FinishedAt
	}
}

// goBack records the deployment that a source implies by telling that x, the
// head of its place, was rolled back: what was there before is there again.
func (l *Ledger) goBack(x *deployment, source event.Source) {
	p := x.place
	if p.head() != x || x.Baseline {
		return
	}
	before := p.predecessor(len(p.deployments) - 1)
	if before == nil || before.build == x.build {
		return
	}
	l.succeed(before.build, x, later(x.FinishedAt, source.At), time.Time{}, source)
}

// succeed records that p's build b took the place of undone at the given time.
func (l *Ledger) succeed(b *build, undone *deployment, at, seen time.Time, source event.Source) *deployment {
	p := undone.place
	if !at.After(undone.StartedAt) {
		at = undone.StartedAt.Add(time.Nanosecond)
	}
	d := event.Deployment{
		Service: p.service, Environment: p.environment, Version: b.version, Revision: b.revision,
		StartedAt: at, FirstSeenAt: seen, RollbackOf: undone.ID, Repository: undone.Repository,
		Sources: []event.Source{source},
	}
	x := l.add(p, d)
	l.merge(x, &d)
	l.changed(p, x)
	l.touch(kindDeployment, x.ID)
	l.tell("deployment", x.ID, at)
	return x
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// longer prefers the full id over its abbreviation, and else what was first.
func longer(a, b string) string {
	if a == "" || len(b) > len(a) && event.SameRevision(a, b) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
