package demo

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/deployloop/deployloop/demo/shop"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// The pull request: a discount that rounds money.
const (
	pullBranch = "discount"
	pullFile   = "services/checkout/discount.go"
	pullText   = `package checkout

// discount is a tenth, from a hundred on.
func discount(total float64) float64 {
	if total < 100 {
		return 0
	}
	return total / 10
}
`
	heardWithin = 30 * time.Second
)

// pull commits the pull request's change on a branch of its own, from revision.
func (r *repository) pull(from string) (landed, error) {
	tree, err := r.git.Worktree()
	if err != nil {
		return landed{}, err
	}
	l := landed{
		Commit: shop.Commit{Author: "Mei Tanaka", Email: "mei@shop.example", Message: "Take a tenth off large orders"},
		parent: from, at: time.Now(), added: []string{pullFile},
	}
	err = tree.Checkout(&git.CheckoutOptions{Hash: plumbing.NewHash(from), Branch: plumbing.NewBranchReferenceName(pullBranch), Create: true})
	if err != nil {
		return l, err
	}
	if err := os.WriteFile(filepath.Join(r.path, filepath.FromSlash(pullFile)), []byte(pullText), 0o600); err != nil {
		return l, err
	}
	if _, err := tree.Add(pullFile); err != nil {
		return l, err
	}
	who := &object.Signature{Name: l.Author, Email: l.Email, When: l.at}
	hash, err := tree.Commit(l.Message, &git.CommitOptions{Author: who, Committer: who})
	if err != nil {
		return l, err
	}
	l.revision = hash.String()
	return l, tree.Checkout(&git.CheckoutOptions{Branch: plumbing.Main})
}

// openPull pushes a branch whose tests fail twice: one as it does now and then, and
// one because of what the branch changes. Which is which must be told.
func (p *play) openPull(ctx context.Context) error {
	change, err := p.repo.pull(p.repo.release[shop.Good].revision)
	if err != nil {
		return err
	}
	pushed := time.Now()
	p.step("%s pushes %q; two of its tests fail", change.Author, change.Message)
	if err := p.collector.push(ctx, pullBranch, []landed{change}); err != nil {
		return err
	}
	if err := p.collector.build(ctx, p.repo, pullBranch, change.revision); err != nil {
		return err
	}
	var told event.Feedback
	err = p.until(ctx, heardWithin, func() (bool, error) {
		if told, err = p.collector.feedbackOf(ctx, change.revision); err != nil {
			return false, err
		}
		return told.Count(event.NewFailure) > 0 && told.Count(event.KnownFlaky) > 0, nil
	})
	if err != nil {
		return err
	}
	p.result.PushToHeard = Seconds(time.Since(pushed))
	for _, j := range told.Judgements {
		switch {
		case j.Test == nil:
		case j.Call == event.NewFailure && p.result.NewFailure == "":
			p.result.NewFailure = j.Test.Case
			p.bad("%s", wording.JudgementLine(j))
			p.detail("why", j.Test.Message)
		case j.Call == event.KnownFlaky:
			p.result.KnownFlaky = j.Test.Case
			p.good("%s: nobody need look", wording.JudgementLine(j))
		}
	}
	return nil
}
