package ledger

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// maxVariants is how many Deployments, or clusters, of one service are told apart.
const maxVariants = 50

// variantWithin is how long after a release's first sight another ReplicaSet of its
// image is taken for a part of it.
const variantWithin = 15 * time.Minute

// variant is the unknown build as one of the head's, nil where it is none. Two
// Deployments of a service bring a new image in two ReplicaSets: taken for two
// deployments, the second would have the first's image for its previous version.
func (l *Ledger) variant(p *place, key seenKey, at int64) *build {
	head := p.head()
	if head == nil || head.Baseline || head.FirstSeenAt.IsZero() || head.closed() ||
		!event.SameImage(head.Version, key.version) || compare(head.Revision, key.revision, event.SameRevision) < 0 ||
		time.Duration(at-head.FirstSeenAt.UnixNano()) > min(l.limits.ReconcileWithin, variantWithin) || l.gone(head.build, at) {
		return nil
	}
	b := head.build.addVariant(key.version)
	if b != nil {
		b.presentSince.Store(at)
		b.lastSeen.Store(at)
		l.touch(kindDeployment, head.ID)
	}
	return b
}

// replaced is the deployment by which a variant took the place of the head: a
// rollout of the same image with another configuration, after which the ReplicaSet
// of before is gone. One that falls silent later only has nothing to say.
func (l *Ledger) replaced(p *place, b *build, when time.Time) *deployment {
	head := p.head()
	since := b.presentSince.Load()
	if head == nil || head.build != b.of || since == 0 || !l.gone(b.of, when.UnixNano()) {
		return nil
	}
	overlap := time.Duration(b.of.lastSeen.Load() - since)
	if overlap < -clockSkew || overlap > l.limits.ReconcileWithin || !l.mayInfer(p, when) {
		return nil
	}
	start := time.Unix(0, since).UTC()
	d := event.Deployment{
		Service: p.service, Environment: p.environment, Version: b.version, Revision: b.revision,
		StartedAt: start, FirstSeenAt: start, Repository: head.Repository,
		Sources: []event.Source{{Name: SourceTelemetry, At: when}},
	}
	x := l.add(p, d) // it finds b, and makes it stand alone
	l.merge(x, &d)
	l.changed(p, x)
	l.touch(kindDeployment, x.ID)
	l.touch(kindDeployment, head.ID)
	l.tell("deployment", x.ID, when)
	return x
}

func (b *build) addVariant(version string) *build {
	for _, v := range b.variants {
		if event.SameVersion(v.version, version) {
			return v
		}
	}
	if len(b.variants) == maxVariants {
		return nil
	}
	v := &build{version: version, revision: b.revision, of: b}
	b.variants = append(b.variants, v)
	return v
}

func (b *build) variantNames() (names []string) {
	for _, v := range b.variants {
		names = append(names, v.version)
	}
	return names
}

// standAlone makes a build of a variant.
func (b *build) standAlone() {
	if b.of != nil {
		b.of.variants = slices.DeleteFunc(b.of.variants, func(v *build) bool { return v == b })
		b.of = nil
	}
}
