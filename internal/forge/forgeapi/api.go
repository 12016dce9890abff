// Package forgeapi writes to forges: commit statuses and comments on merged
// pull requests, through each forge's kept Go client. It knows nothing of
// verdicts. A Forge is used by one goroutine at a time.
package forgeapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// State of a commit status, as all forges have them in one form or another.
type State string

// The states.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	Error   State = "error"
)

// Status is one commit status; Context is its identity on a commit, which has the
// newest of each.
type Status struct {
	Context     string
	State       State
	Description string // plain text, at most DescriptionLimit runes
	TargetURL   string // "" for none
	// Of one that was read: its number, which grows with time, and when it was made.
	ID int64
	At time.Time
}

// Says tells whether two statuses say the same, whichever was made when.
func (s Status) Says(other Status) bool {
	s.ID, s.At, other.ID, other.At = 0, time.Time{}, 0, time.Time{}
	return s == other
}

// newestStatuses orders what was read of a commit.
func newestStatuses(list []Status) []Status {
	slices.SortStableFunc(list, func(a, b Status) int { return cmp.Compare(b.ID, a.ID) })
	return list
}

// DescriptionLimit is the shortest limit of the forges (GitHub's, in runes).
const DescriptionLimit = 140

// Comment is one comment on a pull request.
type Comment struct {
	ID     int64
	Body   string
	Author Author
	At     time.Time // it was made
}

// Author of a comment, as the forge names people: by login, GitLab by number.
type Author struct {
	Login string
	ID    int64
}

// Forge is the part of a forge's API that feedback needs. A repository is the
// path that the forge names it by ("acme/shop"), a revision a full commit id.
// Errors are *Failed, or the context's.
type Forge interface {
	// Account is whose the client's token is.
	Account(ctx context.Context) (Account, error)
	// Statuses are those of a commit with that context, newest first: the last page
	// of them at least.
	Statuses(ctx context.Context, repository, revision, context string) ([]Status, error)
	SetStatus(ctx context.Context, repository, revision string, status Status) error
	// MergedPull is the number of the pull request that brought a commit to
	// its branch; 0 when there is none.
	MergedPull(ctx context.Context, repository, revision string) (int64, error)
	// OpenPull is the number of an open pull request that holds a commit; 0 when
	// there is none.
	OpenPull(ctx context.Context, repository, revision string) (int64, error)
	// OwnComments are the comments of the client's own account whose body
	// begins with the prefix, oldest first.
	OwnComments(ctx context.Context, repository string, pull int64, prefix string) ([]Comment, error)
	CreateComment(ctx context.Context, repository string, pull int64, body string) (Comment, error)
	EditComment(ctx context.Context, repository string, pull, comment int64, body string) error
	DeleteComment(ctx context.Context, repository string, pull, comment int64) error
	// Replies are the comments of everyone else made since a time, oldest first.
	Replies(ctx context.Context, repository string, pull int64, since time.Time) ([]Comment, error)
	// MayWrite tells whether somebody may push to the repository.
	MayWrite(ctx context.Context, repository string, author Author) (bool, error)
	// OpenPulls are the open pull requests, the last changed first, at most pageSize.
	OpenPulls(ctx context.Context, repository string) ([]int64, error)
	// PullFiles are the paths that a pull request changes, old and new names.
	PullFiles(ctx context.Context, repository string, pull int64) ([]string, error)
}

// Options of a client.
type Options struct {
	Endpoint string // the API's base URL; "" for the forge's public one
	Token    string // "": the HTTP client's own authentication
	App      *App   // GitHub alone: in place of the token
	// Login is the account that the token stands for; "" asks the forge.
	Login   string
	HTTP    *http.Client
	Limiter *rate.Limiter // paces every request
	Now     func() time.Time
}

// clients by the kind of forge.
var clients = map[string]func(Options) (Forge, error){
	"github": NewGitHub,
	"gitea":  NewGitea, // and Forgejo
	"gitlab": NewGitLab,
}

// Kinds are the kinds of forge that have a client, in order.
func Kinds() []string { return slices.Sorted(maps.Keys(clients)) }

// New is the client of a kind of forge.
func New(kind string, o Options) (Forge, error) {
	client, ok := clients[kind]
	if !ok {
		return nil, fmt.Errorf("no forge is called %q", kind)
	}
	return client(o)
}

// maxPages bounds what is read of a list, at pageSize a page.
const (
	maxPages = 20
	pageSize = 100
)

// eachPage asks for one page after the other, from 1 on, until there is no
// next, the caller has enough (next 0 ends it) or the bound is met.
func eachPage[N int | int64](ask func(page N) (next N, err error)) error {
	page := N(1)
	for range maxPages {
		next, err := ask(page)
		if err != nil || next == 0 {
			return err
		}
		page = next
	}
	return nil
}

// sortComments puts the oldest first: ids grow with time on every forge.
func sortComments(list []Comment) []Comment {
	slices.SortFunc(list, func(a, b Comment) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// refusedLookup tells an answer that says no such thing from a failed call.
func refusedLookup(err error) bool {
	var f *Failed
	return errors.As(err, &f) && f.Gone()
}

// Failed is a call that a forge did not do.
type Failed struct {
	Code       int           // HTTP status; 0 when no answer came
	RetryAfter time.Duration // what the forge asked to wait; 0 when it did not say
	Limited    bool          // refused by a rate limit, primary or secondary
	Guessed    bool          // it did not say how long: RetryAfter is for the first time, and doubles
	Err        error
}

func (f *Failed) Error() string { return f.Err.Error() }

// Unwrap gives the client's own error.
func (f *Failed) Unwrap() error { return f.Err }

// Temporary tells whether the same call may succeed later. A refused token
// counts: it says nothing of this call, and tokens are renewed.
func (f *Failed) Temporary() bool {
	return f.Limited || f.Code == 0 || f.Code >= 500 ||
		f.Code == http.StatusTooManyRequests || f.Code == http.StatusRequestTimeout || f.Code == http.StatusUnauthorized
}

// Gone tells whether what the call was about does not exist (any more).
func (f *Failed) Gone() bool { return f.Code == http.StatusNotFound || f.Code == http.StatusGone }

// secondaryPause is what GitHub asks for when a secondary limit names no time, and to
// wait for longer each time that it is met again.
const secondaryPause = time.Minute

// limitWords are how GitHub words its limits where no header tells of them, older
// servers among it; tooQuickly comes as a content that is not valid.
var limitWords = regexp.MustCompile(`(?i)rate limit|abuse detection`)

const tooQuickly = "submitted too quickly"

// maxPause bounds what a forge may ask for: GitHub's window is an hour.
const maxPause = 75 * time.Minute

// failed reads an answer's status and its rate limit headers.
func failed(response *http.Response, err error, now time.Time) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	f := &Failed{Err: err}
	if response == nil {
		return f
	}
	f.Code = response.StatusCode
	exhausted := headerIs(response, "0", "X-RateLimit-Remaining", "RateLimit-Remaining")
	wait, told := retryAfter(response, now)
	switch f.Code {
	case http.StatusTooManyRequests:
		f.Limited = true
	case http.StatusForbidden:
		f.Limited = exhausted || told || limitWords.MatchString(err.Error())
	case http.StatusUnprocessableEntity:
		f.Limited = strings.Contains(err.Error(), tooQuickly)
	}
	switch {
	case told:
		f.RetryAfter = wait
	case f.Limited && exhausted:
		f.RetryAfter = untilReset(response, now)
	}
	if f.Limited && f.RetryAfter <= 0 {
		f.RetryAfter, f.Guessed = secondaryPause, true
	}
	f.RetryAfter = min(f.RetryAfter, maxPause)
	return f
}

func headerIs(response *http.Response, value string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return response.Header.Get(name) == value })
}

// retryAfter reads Retry-After: seconds, or a date.
func retryAfter(response *http.Response, now time.Time) (time.Duration, bool) {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// untilReset reads when the window ends, in Unix seconds. One second more: the
// header is cut to whole ones.
func untilReset(response *http.Response, now time.Time) time.Duration {
	value := cmp.Or(response.Header.Get("X-RateLimit-Reset"), response.Header.Get("RateLimit-Reset"))
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return time.Unix(seconds, 0).Add(time.Second).Sub(now)
}

// maxAnswer bounds an answer, in bytes: a page of 100 comments at GitHub's
// longest, twice.
const maxAnswer = 16 << 20

// paced is an HTTP client that asks the limiter before every request and
// holds each answer whole: some clients leave a refusal's body open, and with
// it the connection and its timeout. The time spent waiting does not count.
func paced(client *http.Client, limiter *rate.Limiter) *http.Client {
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	own := *client
	own.Timeout = 0
	own.Transport = pacedTransport{next: next, limiter: limiter, timeout: cmp.Or(client.Timeout, time.Minute)}
	return &own
}

type pacedTransport struct {
	next    http.RoundTripper
	limiter *rate.Limiter
	timeout time.Duration
}

func (t pacedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.limiter.Wait(request.Context()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(request.Context(), t.timeout)
	defer cancel()
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s answered with more than %d bytes", request.URL.Host, maxAnswer)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// ownerAndName splits a repository of two parts.
func ownerAndName(repository string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return "", "", &Failed{Code: http.StatusBadRequest, Err: fmt.Errorf("%q is not a repository: write owner/name", repository)}
	}
	return owner, name, nil
}
