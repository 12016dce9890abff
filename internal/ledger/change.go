package ledger

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// RecordChange keeps a commit. Telling it again adds what was unknown.
func (l *Ledger) RecordChange(c event.Change) {
	c = cloneChange(c)
	c.Repository, c.Revision = cut(c.Repository, maxName), cut(c.Revision, maxName)
	if c.Revision == "" {
		return
	}
	key := changeKey(c.Repository, c.Revision)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.changes.Peek(key); ok {
		c = completed(known.Value, c)
		if equalChange(c, known.Value) {
			return
		}
	} else {
		l.abbreviate(key, c.Revision)
	}
	l.clock(c.At)
	put(l, l.changes, kindChange, "changes", key, c)
	l.tell("change", c.Revision, c.At)
}

// completed is what was told first of a commit and, where that said nothing,
// what is told now. A commit does not change; only Forced may be news.
func completed(k, c event.Change) event.Change {
	k.Ref, k.Previous = orElse(k.Ref, c.Ref), orElse(k.Previous, c.Previous)
	k.Message, k.Author, k.Email = orElse(k.Message, c.Message), orElse(k.Author, c.Author), orElse(k.Email, c.Email)
	k.URL, k.CompareURL, k.PullURL = orElse(k.URL, c.URL), orElse(k.CompareURL, c.CompareURL), orElse(k.PullURL, c.PullURL)
	k.PullHead = orElse(k.PullHead, c.PullHead)
	k.Forced = k.Forced || c.Forced
	k.At = known1(k.At, c.At)
	if len(k.Parents) == 0 {
		k.Parents = c.Parents
	}
	if len(k.Added)+len(k.Modified)+len(k.Removed) == 0 {
		k.Added, k.Modified, k.Removed = c.Added, c.Modified, c.Removed
	}
	return k
}

func changeKey(repository, revision string) string { return repository + "@" + revision }

// abbreviate indexes a commit by its first digits.
func (l *Ledger) abbreviate(key, revision string) {
	short := strings.ToLower(cut(revision, 7))
	l.abbreviated[short] = append(l.abbreviated[short], key)
}

func (l *Ledger) forgetAbbreviation(key string, c event.Change) {
	short := strings.ToLower(cut(c.Revision, 7))
	left := slices.DeleteFunc(l.abbreviated[short], func(k string) bool { return k == key })
	if len(left) == 0 {
		delete(l.abbreviated, short)
	} else {
		l.abbreviated[short] = left
	}
}

// Change finds a commit by its id, or a unique prefix of at least 7 digits.
// An empty repository matches any; "acme/shop" matches the URL that ends so.
func (l *Ledger) Change(repository, revision string) (event.Change, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c, ok := l.change(repository, revision)
	return cloneChange(c), ok
}

func (l *Ledger) change(repository, revision string) (found event.Change, ok bool) {
	if d, exact := l.changes.Peek(changeKey(repository, revision)); exact {
		return d.Value, true
	}
	for _, key := range l.abbreviated[strings.ToLower(cut(revision, 7))] {
		d, _ := l.changes.Peek(key)
		c := d.Value
		if !event.SameRevision(c.Revision, revision) || repository != "" && !SameRepository(c.Repository, repository) {
			continue
		}
		if ok && c.Revision != found.Revision {
			return event.Change{}, false // not unique
		}
		if !ok || c.At.After(found.At) {
			found, ok = c, true
		}
	}
	return found, ok
}

// SameRepository holds for "acme/shop", "https://forge/acme/shop.git" and
// "git@forge:acme/shop".
func SameRepository(a, b string) bool { return a == b || repositoryPath(a) == repositoryPath(b) }

func repositoryPath(name string) string {
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		name = u.Path
	} else if _, path, ok := strings.Cut(name, ":"); ok && strings.Contains(name, "@") {
		name = path
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(name, "/"), ".git"))
}

// Changes lists commits, newest first.
func (l *Ledger) Changes(q ChangeQuery) []event.Change {
	l.mu.RLock()
	defer l.mu.RUnlock()
	found := list(l.changes, Query{Since: q.Since, Limit: q.Limit}, func(c event.Change) bool {
		return (q.Repository == "" || SameRepository(q.Repository, c.Repository)) && (q.Ref == "" || q.Ref == c.Ref)
	}, func(c event.Change) time.Time { return c.At })
	for i := range found {
		found[i] = cloneChange(found[i])
	}
	return found
}

// ChangeRange walks from new back to previous, newest first, along Previous
// (what the branch pointed to before) or else the first parent. complete is
// false when the walk did not reach previous, and note then says why; a note
// beside a complete range warns of a force-push on the way.
func (l *Ledger) ChangeRange(repository, previous, new string) (changes []event.Change, complete bool, note string) {
	if new == "" {
		return nil, false, "the deployed revision is unknown"
	}
	if previous == "" {
		note = "the previous revision is unknown: only the deployed commit is listed"
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	walked := map[string]bool{}
	for at := new; ; {
		if event.SameRevision(at, previous) {
			return changes, true, note
		}
		c, ok := l.change(repository, at)
		switch {
		case !ok && len(changes) == 0:
			return nil, false, fmt.Sprintf("the deployed revision %s was in no push that was told", event.ShortRevision(at))
		case !ok:
			return changes, false, fmt.Sprintf("the range ends at %s, which was in no push that was told", event.ShortRevision(at))
		case walked[c.Revision]:
			return changes, false, fmt.Sprintf("the pushes lead in a circle at %s", event.ShortRevision(at))
		case len(changes) >= l.limits.Range:
			return changes, false, fmt.Sprintf("the range holds more than %d commits", l.limits.Range)
		}
		walked[c.Revision] = true
		changes = append(changes, cloneChange(c))
		if previous == "" {
			return changes, false, note
		}
		next := c.Previous
		if c.Forced {
			note = fmt.Sprintf("a force-push at %s: what the branch held before need not be an ancestor", event.ShortRevision(c.Revision))
			if len(c.Parents) > 0 {
				next = c.Parents[0]
			}
		}
		if strings.Trim(next, "0") == "" { // forges write a new branch's previous as zeros
			next = ""
			if len(c.Parents) > 0 {
				next = c.Parents[0]
			}
		}
		if next == "" {
			why := fmt.Sprintf("what came before %s was not told", event.ShortRevision(c.Revision))
			if note != "" {
				why = note + "; " + why
			}
			return changes, false, why
		}
		at = next
	}
}
