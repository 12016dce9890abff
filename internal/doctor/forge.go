package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/wording"
)

// Forge is one that verdicts are told to.
type Forge struct {
	Key      string         // of the exporter in the configuration
	Kind     string         // github, gitlab, gitea
	URL      string         // as shown
	API      forgeapi.Forge // used by one goroutine at a time
	Comments bool
	// Repositories are those to try it on, owner/name.
	Repositories func(context.Context) []string
}

// neededScopes of tokens that have some; one of each line's is enough.
var neededScopes = map[string]struct {
	status, comment []string
	fix             string
}{
	"github": {[]string{"repo", "repo:status"}, []string{"repo", "public_repo"}, "a classic token needs the scope repo (public repositories: public_repo and repo:status); a fine-grained one read and write of Commit statuses, Issues and Pull requests"},
	"gitlab": {[]string{"api"}, []string{"api"}, "give the token the scope api and the role Developer of the project"},
	"gitea":  {nil, nil, "give the token the scopes write:repository, write:issue and read:user"},
}

// maxRepositories bounds those that a token is tried on.
const maxRepositories = 10

// nobody is a commit that no repository has.
const nobody = "0000000000000000000000000000000000000000"

// ForgeAccess asks whose the token is and what it may do, then tries to write a
// status to a commit that does not exist: who may not write is refused before
// the forge looks for the commit, so nothing is ever written.
func ForgeAccess(f Forge) Check {
	return Check{"forge " + f.Kind, f.URL, func(ctx context.Context) []Finding {
		account, err := f.API.Account(ctx)
		if err != nil {
			return []Finding{f.failed(err, "to say whose the token is")}
		}
		who := account.Login
		if who == "" {
			who = "its account"
		}
		needed := neededScopes[f.Kind]
		if account.Scopes != nil {
			missing := needed.status
			if hasOne(account.Scopes, needed.status) && f.Comments {
				missing = needed.comment
			}
			if !hasOne(account.Scopes, missing) {
				return []Finding{Fail(CauseNoPermission, fmt.Sprintf("the token of %s lacks the scope %s; it has %s", who, missing[0], listed(account.Scopes)), f.scopesFix())}
			}
		}
		repositories := f.Repositories(ctx)
		if len(repositories) == 0 {
			return []Finding{ok("the token is that of %s; no repository is known to try it on", who)}
		}
		var found []Finding
		for _, repository := range repositories[:min(len(repositories), maxRepositories)] {
			one := f.tryRepository(ctx, repository, account)
			if one.Cause == "" {
				one = ok("%s may tell verdicts there", who)
			}
			one.Target = repository
			found = append(found, one)
		}
		return found
	}}
}

func hasOne(have, wanted []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(s string) bool { return slices.Contains(have, s) })
}

func listed(scopes []string) string {
	if len(scopes) == 0 {
		return "none"
	}
	return wording.OneLine(strings.Join(scopes, ", "), 200)
}

func (f Forge) scopesFix() string {
	return neededScopes[f.Kind].fix + "; then set " + f.Key + "::token"
}

func (f Forge) tryRepository(ctx context.Context, repository string, account forgeapi.Account) Finding {
	if _, err := f.API.OpenPulls(ctx, repository); err != nil {
		if code(err) == http.StatusNotFound {
			return Fail(CauseRepositoryUnknown, fmt.Sprintf("there is no repository %s, or the token does not see it", repository),
				"correct "+f.Key+"::repositories, and let the token read it")
		}
		return f.failed(err, "to list pull requests")
	}
	// GitHub hides from who may not write that there is something; others say so.
	refusedAs := func(err error) bool {
		return code(err) == http.StatusForbidden || f.Kind == "github" && code(err) == http.StatusNotFound
	}
	err := f.API.SetStatus(ctx, repository, nobody, forgeapi.Status{Context: "deployloop/doctor", State: forgeapi.Pending, Description: "deployloop doctor tests whether it may write"})
	switch {
	case err != nil && refusedAs(err):
		return Fail(CauseNoPermission, fmt.Sprintf("the token may not write commit statuses (%s)", reason(err)), f.scopesFix())
	case err != nil && !expected(err):
		return f.failed(err, "a commit status")
	}
	if !f.Comments || account.Scopes != nil {
		return Finding{} // the scopes told
	}
	err = f.API.EditComment(ctx, repository, noNumber, noNumber, "deployloop doctor")
	switch {
	case err != nil && code(err) == http.StatusForbidden:
		return Fail(CauseNoPermission, fmt.Sprintf("the token may not write comments (%s)", reason(err)), f.scopesFix())
	case err != nil && !expected(err):
		return f.failed(err, "a comment")
	}
	return Finding{}
}

// noNumber is that of a comment which no repository has.
const noNumber = 1<<31 - 1

// expected is how a forge answers who may write, about what is not there; Gitea
// calls that an error of its own.
func expected(err error) bool {
	return code(err) == http.StatusInternalServerError && strings.Contains(err.Error(), "object does not exist") || slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, code(err))
}

func code(err error) int {
	var failed *forgeapi.Failed
	if errors.As(err, &failed) {
		return failed.Code
	}
	return 0
}

func reason(err error) string { return wording.OneLine(err.Error(), 160) }

// failed is the finding of a call that the forge did not do.
func (f Forge) failed(err error, doing string) Finding {
	var failed *forgeapi.Failed
	switch c := code(err); {
	case errors.As(err, &failed) && failed.Limited:
		return Warn(CauseRefused, "the forge limits the rate of calls: nothing more was tried", "wait, and lower "+f.Key+"::requests_per_second if this repeats")
	case c == 0:
		why, words := NetworkCause(err)
		return Fail(why, fmt.Sprintf("%s cannot be reached at %s: %s", f.Kind, f.URL, words), "correct "+f.Key+"::endpoint, or see what keeps this machine from it (proxy_url, firewall)")
	case c == http.StatusUnauthorized:
		return Fail(CauseUnauthenticated, fmt.Sprintf("%s does not take the token: it is wrong, or its time is over", f.Kind), "make a new token and set "+f.Key+"::token to it")
	case c == http.StatusForbidden:
		return Fail(CauseNoPermission, fmt.Sprintf("the token is not allowed %s (%s)", doing, reason(err)), f.scopesFix())
	case c == http.StatusNotFound:
		return Fail(CauseWrongServer, fmt.Sprintf("what answers at %s has no API of %s", f.URL, f.Kind), "correct "+f.Key+"::endpoint and ::forge")
	case c >= 500:
		return Fail(CauseServerError, fmt.Sprintf("%s failed (%s)", f.Kind, reason(err)), "see its log")
	}
	return Fail(CauseRefused, fmt.Sprintf("%s refused %s (%s)", f.Kind, doing, reason(err)), "do what its answer says")
}
