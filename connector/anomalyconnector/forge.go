package anomalyconnector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/forge/forgeconfig"
	"github.com/deployloop/deployloop/internal/gitrange"
)

// Forge is where commits are read where there is no clone: the forge's own API.
type Forge struct {
	forgeconfig.Settings `mapstructure:",squash"`

	// Kind is github, gitlab or gitea (and Forgejo).
	Kind string `mapstructure:"kind"`
	// Repository names it ("owner/name") where deployments do not.
	Repository string `mapstructure:"repository"`
}

// Unmarshal begins with the defaults; the range of a deployment is read at once,
// and no more until the next.
func (f *Forge) Unmarshal(conf *confmap.Conf) error {
	f.Settings = forgeconfig.Default(5)
	return conf.Unmarshal(f)
}

func (f *Forge) validate(bad func(string, ...any), key string) {
	if err := forgeconfig.CheckKind(f.Kind); err != nil {
		bad("%s::kind: %w", key, err)
	}
	for _, problem := range f.Problems(f.Kind) {
		bad("%s::%w", key, problem)
	}
	if f.Repository != "" && f.path("") == "" {
		bad("%s::repository: %q is no owner/name", key, f.Repository)
	}
}

// path is what the forge calls the repository of a deployment; "" when nobody says.
func (f *Forge) path(told string) string {
	return cmp.Or(f.RepositoryPath(f.Kind, told), f.RepositoryPath(f.Kind, f.Repository))
}

// remotes are the forges that commits are read from, by their settings.
type remotes struct {
	byForge map[*Forge]*gitrange.Remote
	clients []*http.Client
}

func (r *remotes) open(ctx context.Context, repositories []Repository, host component.Host, set component.TelemetrySettings) error {
	r.byForge = map[*Forge]*gitrange.Remote{}
	for i := range repositories {
		f := repositories[i].Forge
		if f == nil {
			continue
		}
		client, err := f.ToClient(ctx, host.GetExtensions(), set)
		if err != nil {
			return fmt.Errorf("repositories[%d]::forge: %w", i, err)
		}
		r.clients = append(r.clients, client)
		history, err := forgeapi.NewHistory(f.Kind, f.Options(client, rate.NewLimiter(rate.Limit(f.RequestsPerSecond), 10), time.Now))
		if err != nil {
			return fmt.Errorf("repositories[%d]::forge: %w", i, err)
		}
		r.byForge[f] = gitrange.NewRemote(history)
	}
	return nil
}

func (r *remotes) close() {
	for _, c := range r.clients {
		c.CloseIdleConnections()
	}
}

var errNoForge = errors.New("a replay asks no forge")

// fromForge reads a deployment's commits from the API of its forge.
func (m *monitor) fromForge(ctx context.Context, d event.Deployment, c Repository) (commitRange, error) {
	remote := m.remotes.byForge[c.Forge]
	if remote == nil {
		return commitRange{}, errNoForge
	}
	path := c.Forge.path(d.Repository)
	if path == "" {
		return commitRange{}, fmt.Errorf("nobody says which repository on %s holds the code of %s: set repositories::forge::repository", c.Forge.Kind, d.Service)
	}
	r, err := remote.Range(ctx, path, d.PreviousRevision, d.Revision, c.options(m.config.Limits))
	if err != nil {
		return commitRange{}, err
	}
	return commitRange{list: r.Commits, ignored: remote.IgnoredRevisions(ctx, path, r.New), owners: remote.Owners(ctx, path, r.New), note: r.Note, source: "forge"}, nil
}
