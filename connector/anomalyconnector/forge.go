package anomalyconnector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/gitrange"
)

// Forge is where commits are read where there is no clone: the forge's own API.
type Forge struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	// Kind is github, gitlab or gitea (and Forgejo).
	Kind string `mapstructure:"kind"`
	// Token that may read the repository. Empty: the client's own auth, or none.
	Token configopaque.String `mapstructure:"token"`
	// Repository names it ("owner/name") where deployments do not.
	Repository string `mapstructure:"repository"`
	// RequestsPerSecond bounds the calls to the forge; default 5.
	RequestsPerSecond float64 `mapstructure:"requests_per_second"`
}

const (
	forgeRequests = 5
	forgeTimeout  = 15 * time.Second
)

func (f *Forge) validate(bad func(string, ...any), key string) {
	if _, ok := forgeapi.Histories[f.Kind]; !ok {
		bad("%s::kind: %q is none of %s", key, f.Kind, strings.Join(slices.Sorted(maps.Keys(forgeapi.Histories)), ", "))
	}
	if u, err := url.Parse(f.Endpoint); f.Endpoint == "" && !forgeapi.Public(f.Kind) || f.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		bad("%s::endpoint: write the forge's base URL, for example https://git.example.com", key)
	}
	if f.Repository != "" && f.path("") == "" {
		bad("%s::repository: %q is no owner/name", key, f.Repository)
	}
	if f.RequestsPerSecond < 0 {
		bad("%s::requests_per_second: must not be negative; 0 means %d", key, forgeRequests)
	}
}

// path is what the forge calls the repository of a deployment; "" when nobody says.
func (f *Forge) path(told string) string {
	host := forgeapi.WebHost(f.Kind, f.Endpoint)
	return cmp.Or(forgeapi.RepositoryPath(told, host), forgeapi.RepositoryPath(f.Repository, host))
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
		settings := f.ClientConfig
		if settings.Timeout == 0 {
			settings.Timeout = forgeTimeout
		}
		client, err := settings.ToClient(ctx, host.GetExtensions(), set)
		if err != nil {
			return fmt.Errorf("repositories[%d]::forge: %w", i, err)
		}
		r.clients = append(r.clients, client)
		history, err := forgeapi.Histories[f.Kind](forgeapi.Options{
			Endpoint: f.Endpoint, Token: string(f.Token), HTTP: client, Now: time.Now,
			Limiter: rate.NewLimiter(rate.Limit(cmp.Or(f.RequestsPerSecond, forgeRequests)), 10),
		})
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
