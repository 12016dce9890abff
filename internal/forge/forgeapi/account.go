package forgeapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

// Account is whose a token is, and what it may do.
type Account struct {
	Login  string
	Scopes []string // nil: the forge does not tell
}

// Account of GitHub: only classic tokens have scopes, which each answer names.
func (g *gitHub) Account(ctx context.Context) (Account, error) {
	if g.app != nil {
		err := g.identify(ctx)
		return Account{Login: g.login}, err
	}
	user, response, err := g.client.Users.Get(ctx, "")
	if err != nil {
		return Account{}, g.failed(response, err)
	}
	account := Account{Login: user.GetLogin()}
	if told := response.Header.Values("X-OAuth-Scopes"); told != nil {
		account.Scopes = []string{}
		for scope := range strings.SplitSeq(strings.Join(told, ","), ",") {
			if scope = strings.TrimSpace(scope); scope != "" {
				account.Scopes = append(account.Scopes, scope)
			}
		}
	}
	return account, nil
}

// Account of Gitea, which tells no scopes.
func (g *giteaForge) Account(ctx context.Context) (Account, error) {
	g.client.SetContext(ctx)
	user, response, err := g.client.GetMyUserInfo()
	if err != nil {
		return Account{}, g.failed(response, err)
	}
	return Account{Login: user.UserName}, nil
}

// Account of GitLab: a token of any kind may ask about itself; an OAuth token
// or a job's may not, and then only its user is told.
func (g *gitLab) Account(ctx context.Context) (Account, error) {
	account := Account{}
	token, response, err := g.client.PersonalAccessTokens.GetSinglePersonalAccessToken(gitlab.WithContext(ctx))
	switch {
	case err == nil:
		account.Scopes = token.Scopes
	case response == nil || response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusForbidden:
		return account, g.failed(response, err)
	}
	user, response, err := g.client.Users.CurrentUser(gitlab.WithContext(ctx))
	if err != nil {
		var f *Failed
		if err = g.failed(response, err); account.Scopes != nil && errors.As(err, &f) && f.Code == http.StatusForbidden {
			return account, nil // the scopes say what is missing
		}
		return account, err
	}
	account.Login = user.Username
	return account, nil
}
