package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/endpoint"
)

const testTag = "deployloop-doctor"

// Grafana writes an annotation, finds it, removes it, and sees it gone.
func Grafana(s Server) Check {
	return Check{"grafana", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		return []Finding{s.testAnnotation(ctx)}
	}}
}

func (s Server) testAnnotation(ctx context.Context) Finding {
	now := time.Now().UnixMilli()
	body := map[string]any{"text": "deployloop doctor tests whether it may write here", "tags": []string{testTag}, "time": now}
	got, err := s.call(ctx, http.MethodPost, "api/annotations", nil, body)
	if err != nil {
		return s.unreachable(err)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if f := s.grafanaRefusal(got, "annotations:create"); f.Cause != "" {
		return f
	}
	if json.Unmarshal(got.body, &made) != nil || made.ID == 0 {
		return s.wrong(got)
	}
	path := "api/annotations/" + strconv.FormatInt(made.ID, 10)
	remove := func() Finding {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp/2)
		defer cancel()
		got, err := s.call(cleaning, http.MethodDelete, path, nil, nil)
		if err != nil {
			f := s.unreachable(err)
			f.Cause, f.Fix = CauseAnnotationLeft, fmt.Sprintf("remove annotation %d (tag %s) in Grafana", made.ID, testTag)
			return f
		}
		return s.grafanaRefusal(got, "annotations:delete")
	}
	there, f := s.hasAnnotation(ctx, made.ID, now)
	if removal := remove(); removal.Cause != "" {
		removal.What += fmt.Sprintf("; annotation %d (tag %s) was left behind", made.ID, testTag)
		return removal
	}
	switch {
	case f.Cause != "":
		return f
	case !there:
		return Fail(CauseAnnotationNotSeen, "an annotation was accepted and is not listed", "let the service account of "+parent(s.Key)+" read annotations (annotations:read), and see Grafana's log")
	}
	if there, f = s.hasAnnotation(ctx, made.ID, now); f.Cause != "" {
		return f
	} else if there {
		return Fail(CauseAnnotationLeft, fmt.Sprintf("annotation %d was removed and is still listed", made.ID), fmt.Sprintf("remove it in Grafana (tag %s)", testTag))
	}
	return ok("an annotation was written, found and removed")
}

func (s Server) hasAnnotation(ctx context.Context, id, at int64) (bool, Finding) {
	got, err := s.call(ctx, http.MethodGet, "api/annotations", url.Values{
		"tags": {testTag}, "type": {"annotation"}, "from": {strconv.FormatInt(at-1000, 10)}, "to": {strconv.FormatInt(at+1000, 10)}, "limit": {"100"},
	}, nil)
	if err != nil {
		return false, s.unreachable(err)
	}
	if f := s.grafanaRefusal(got, "annotations:read"); f.Cause != "" {
		return false, f
	}
	var list []struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil {
		return false, s.wrong(got)
	}
	return slices.ContainsFunc(list, func(a struct {
		ID int64 `json:"id"`
	}) bool {
		return a.ID == id
	}), Finding{}
}

// grafanaRefusal is the finding of a refused call; none where it was done.
func (s Server) grafanaRefusal(a answer, permission string) Finding {
	component := parent(s.Key)
	switch {
	case a.status/100 == 2 && !a.isHTML():
		return Finding{}
	case a.status == http.StatusUnauthorized:
		return Fail(CauseUnauthenticated, fmt.Sprintf("Grafana does not take the token (%s)", a.said()),
			"make a service account token in Grafana (Administration > Service accounts) and set "+component+"::token to it")
	case a.status == http.StatusForbidden:
		return Fail(CauseNoPermission, fmt.Sprintf("the token lacks %s (%s)", permission, a.said()),
			"give the service account of "+component+"::token the role Editor, or annotations:read, :create, :write and :delete")
	}
	return s.refused(a, "an annotation")
}
