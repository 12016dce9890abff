package grafanaannotationexporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/go-openapi/runtime"
	openapiclient "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/grafana/grafana-openapi-client-go/client/annotations"
	"github.com/grafana/grafana-openapi-client-go/models"
	"golang.org/x/time/rate"
)

// grafana is Grafana's annotation API through Grafana's own generated client,
// never faster than the limiter allows.
type grafana struct {
	client  annotations.ClientService
	limiter *rate.Limiter
}

func newGrafana(endpoint, token string, httpClient *http.Client, limiter *rate.Limiter) (*grafana, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	transport := openapiclient.NewWithClient(u.Host, path.Join(u.Path, "/api"), []string{u.Scheme}, httpClient)
	if token != "" {
		transport.DefaultAuthentication = openapiclient.BearerToken(token)
	}
	return &grafana{client: annotations.New(transport, strfmt.Default), limiter: limiter}, nil
}

// find looks an annotation up by its identity tag, oldest first; more than one
// means that two replicas wrote at once.
func (g *grafana) find(ctx context.Context, a annotation) ([]*models.Annotation, error) {
	if err := g.limiter.Wait(ctx); err != nil {
		return nil, err
	}
	from, to := searchWindow(a.start)
	kind, limit := "annotation", int64(10)
	found, err := g.client.GetAnnotations(annotations.NewGetAnnotationsParamsWithContext(ctx).
		WithTags([]string{"deploy", identityTag(a.deployment)}).WithType(&kind).WithFrom(&from).WithTo(&to).WithLimit(&limit))
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(found.Payload, func(m *models.Annotation) bool {
		return m == nil || !slices.Contains(m.Tags, identityTag(a.deployment))
	})
	slices.SortFunc(list, func(x, y *models.Annotation) int { return cmp.Compare(x.ID, y.ID) })
	return list, nil
}

func (g *grafana) create(ctx context.Context, a annotation) (int64, error) {
	if err := g.limiter.Wait(ctx); err != nil {
		return 0, err
	}
	made, err := g.client.PostAnnotationWithParams(annotations.NewPostAnnotationParamsWithContext(ctx).WithBody(
		&models.PostAnnotationsCmd{Text: &a.text, Tags: a.tags, Time: a.start, TimeEnd: a.end}))
	if err != nil {
		return 0, err
	}
	if made.Payload == nil || made.Payload.ID == nil {
		return 0, errors.New("grafana answered without the annotation's id")
	}
	return *made.Payload.ID, nil
}

func (g *grafana) update(ctx context.Context, id int64, a annotation) error {
	if err := g.limiter.Wait(ctx); err != nil {
		return err
	}
	_, err := g.client.PatchAnnotationWithParams(annotations.NewPatchAnnotationParamsWithContext(ctx).
		WithAnnotationID(fmt.Sprint(id)).WithBody(&models.PatchAnnotationsCmd{Text: a.text, Tags: a.tags, Time: a.start, TimeEnd: a.end}))
	return err
}

func (g *grafana) remove(ctx context.Context, id int64) error {
	if err := g.limiter.Wait(ctx); err != nil {
		return err
	}
	_, err := g.client.DeleteAnnotationByIDWithParams(annotations.NewDeleteAnnotationByIDParamsWithContext(ctx).WithAnnotationID(fmt.Sprint(id)))
	return err
}

// outcome of a call, as far as it decides what to do next.
type outcome string

const (
	done      outcome = "done"
	retryable outcome = "retryable" // Grafana away, overloaded, or a proxy's error
	permanent outcome = "permanent" // Grafana refused this annotation: the same call would be refused again
	vanished  outcome = "vanished"  // the annotation is gone: look for it again
)

// status reads the HTTP status out of the generated client's errors; 0: there
// was no answer.
func status(err error) int {
	var coded interface{ Code() int } // of the answers that the contract names
	var api *runtime.APIError         // of all others
	switch {
	case errors.As(err, &coded):
		return coded.Code()
	case errors.As(err, &api):
		return api.Code
	}
	return 0
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter is how long the server asks to be left alone; 0: it does not say.
func retryAfter(err error) time.Duration {
	var api *runtime.APIError
	if !errors.As(err, &api) {
		return 0
	}
	response, ok := api.Response.(runtime.ClientResponse)
	if !ok {
		return 0
	}
	text := response.GetHeader("Retry-After")
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// classify tells what to do next after a call.
func classify(err error) outcome {
	if err == nil {
		return done
	}
	switch code := status(err); {
	case code == http.StatusNotFound:
		return vanished
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500, code == 0:
		return retryable
	default:
		return permanent
	}
}

// hint names the fix for what people get wrong.
func hint(err error) string {
	switch status(err) {
	case 0:
		return "is Grafana up, and endpoint its base URL?"
	case http.StatusUnauthorized:
		return "the token is wrong or expired: set grafana_annotation.token to a service account token"
	case http.StatusForbidden:
		return "the service account lacks annotations:read, :create, :write or :delete"
	case http.StatusNotFound:
		return "no annotation API there: is endpoint Grafana's base URL, with its sub-path?"
	case http.StatusTooManyRequests:
		return "lower grafana_annotation.requests_per_second"
	}
	return "see Grafana's log"
}
