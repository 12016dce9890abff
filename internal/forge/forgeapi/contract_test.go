package forgeapi

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/test/contracttest"
)

// Every method of a forge is called against the examples of the forge's own
// contract, which refuses whatever is no request of an operation.
func TestEveryRequestIsInTheContract(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			contract := contracttest.For(t, kind)
			server := httptest.NewServer(contract.Serve(t, contract.Examples()))
			t.Cleanup(server.Close)
			o := options(server.URL)
			o.Token, o.Login = "secret", "bot"
			forge, err := New(kind, o)
			require.NoError(t, err)
			history := forge.(gitrange.History)
			ctx := t.Context()
			const repository, pull, comment = "acme/shop", 7, 16
			text := strings.Repeat("why\n", 1000)
			calls := map[string]func() error{
				"Account": func() error { _, err := forge.Account(ctx); return err },
				"Statuses": func() error {
					_, err := forge.Statuses(ctx, repository, revision, "deployloop/production/checkout")
					return err
				},
				"SetStatus": func() error {
					for _, state := range []State{Pending, Success, Failure, Error} {
						for _, url := range []string{"", "https://loop.example/deployments/d1"} {
							s := Status{Context: "deployloop/production/checkout", State: state, Description: strings.Repeat("ß", DescriptionLimit), TargetURL: url}
							if err := forge.SetStatus(ctx, repository, revision, s); err != nil {
								return err
							}
						}
					}
					return nil
				},
				"MergedPull":    func() error { _, err := forge.MergedPull(ctx, repository, revision); return err },
				"OpenPull":      func() error { _, err := forge.OpenPull(ctx, repository, revision); return err },
				"OwnComments":   func() error { _, err := forge.OwnComments(ctx, repository, pull, "marker"); return err },
				"CreateComment": func() error { _, err := forge.CreateComment(ctx, repository, pull, text); return err },
				"EditComment":   func() error { return forge.EditComment(ctx, repository, pull, comment, text) },
				"DeleteComment": func() error { return forge.DeleteComment(ctx, repository, pull, comment) },
				"Replies":       func() error { _, err := forge.Replies(ctx, repository, pull, at.Add(-time.Hour)); return err },
				"MayWrite": func() error {
					_, err := forge.MayWrite(ctx, repository, Author{Login: "ada[bot]", ID: 1})
					return err
				},
				"OpenPulls": func() error { _, err := forge.OpenPulls(ctx, repository); return err },
				"PullFiles": func() error { _, err := forge.PullFiles(ctx, repository, pull); return err },
				"Between": func() error {
					for _, previous := range []string{"", before} {
						if _, _, err := history.Between(ctx, repository, previous, revision, 500); err != nil {
							return err
						}
					}
					return nil
				},
				"Diff": func() error { _, err := history.Diff(ctx, repository, revision); return err },
				"File": func() error { _, err := history.File(ctx, repository, revision, ".github/CODEOWNERS"); return err },
			}
			for _, methods := range []reflect.Type{reflect.TypeFor[Forge](), reflect.TypeFor[gitrange.History]()} {
				for i := range methods.NumMethod() {
					require.Contains(t, calls, methods.Method(i).Name, "a method that nobody holds to the contract")
				}
			}
			for name, call := range calls {
				assert.NoError(t, call(), name)
			}
		})
	}
}
