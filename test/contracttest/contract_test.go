package contracttest

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

const sha = "9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa"

// Each contract takes what is right, and of the same request what is wrong in one
// place is refused for that.
func TestAWrongRequestIsRefused(t *testing.T) {
	for kind, paths := range map[string]struct{ status, comment, pulls string }{
		"github": {"/repos/acme/shop/statuses/" + sha, "/repos/acme/shop/issues/7/comments", "/repos/acme/shop/pulls"},
		"gitea":  {"/api/v1/repos/acme/shop/statuses/" + sha, "/api/v1/repos/acme/shop/issues/7/comments", "/api/v1/repos/acme/shop/pulls"},
		"gitlab": {"/api/v4/projects/acme%2Fshop/statuses/" + sha, "/api/v4/projects/acme%2Fshop/merge_requests/7/notes", "/api/v4/projects/acme%2Fshop/merge_requests"},
	} {
		contract := For(t, kind)
		for _, c := range []struct{ method, path, body, want string }{ // want "" for what is right
			{"POST", paths.status, `{"state":"success","description":"why"}`, ""},
			{"POST", paths.status, `{"state":"green"}`, "allowed values"},
			{"POST", paths.status, `{"state":"success","descripton":"why"}`, "descripton"},
			{"POST", paths.status, `{"state":"success","description":7}`, "string"},
			{"PUT", paths.status, `{"state":"success"}`, "no such operation"},
			{"POST", paths.comment, `{"body":"why"}`, ""},
			{"POST", paths.comment, `{}`, `"body"`},
			{"POST", paths.comment, `{"body":null}`, "body"},
			{"POST", strings.Replace(paths.comment, "7", "seven", 1), `{"body":"why"}`, "integer"},
			{"POST", paths.comment + "/all", `{"body":"why"}`, "no such operation"},
			{"GET", paths.pulls + "?page=2", "", ""},
			{"GET", paths.pulls + "?page=two", "", "page"},
			{"GET", paths.pulls + "?sorted=yes", "", `no query parameter "sorted"`},
			{"GET", paths.pulls + "?state=ajar", "", "state"},
		} {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			if c.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			err := contract.Request(r, []byte(c.body))
			if c.want == "" {
				assert.NoError(t, err, "%s: %s %s %s", kind, c.method, c.path, c.body)
				continue
			}
			assert.ErrorContains(t, err, c.want, "%s: %s %s %s", kind, c.method, c.path, c.body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/repos/acme/shop/statuses/"+sha, http.NoBody)
	assert.Error(t, GitHub(t).Request(r, nil), "no body")
}

// A server that is not the forge's may leave out what the forge's example has, and
// must not say what the forge never would.
func TestAWrongAnswerIsRefused(t *testing.T) {
	for _, c := range []struct {
		kind, path, body string
		code             int
		want             string
	}{
		{"github", "/user", `{"login":"bot"}`, 200, ""},
		{"github", "/repos/acme/shop/collaborators/ada/permission", `{"permission":7}`, 200, "string"},
		{"github", "/user", `{"login":"bot"}`, 201, "does not answer 201"},
		{"github", "/user", `{"message":"slow down"}`, 429, ""},
		{"github", "/repos/acme/shop/issues/7/comments", `[{"id":1,"body":"a"},{"id":"two"}]`, 200, "integer"},
		{"github", "/repos/acme/shop/contents/a/b.go?ref=main", `{"type":"file","content":"YQ=="}`, 200, ""},
		{"gitea", "/api/v1/user", `{"login":"bot","avatar_url":null}`, 200, ""},
		{"gitea", "/api/v1/user", `{"login":["bot"]}`, 200, "string"},
		{"gitlab", "/api/v4/user", `{"id":1}`, 200, ""},
		{"gitlab", "/api/v4/projects/3/merge_requests", `[{"iid":1,"state":"open"}]`, 200, "allowed values"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", c.path, http.NoBody)
		err := For(t, c.kind).Response(r, c.code, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, []byte(c.body))
		if c.want == "" {
			assert.NoError(t, err, c)
			continue
		}
		assert.ErrorContains(t, err, c.want, c)
	}
}

// What the server left out is null where that may be, else the example's.
func TestAnswersAreCompleted(t *testing.T) {
	contract := GitHub(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/repos/acme/shop/commits/"+sha+"/pulls", http.NoBody)
	found, err := contract.request(r, nil)
	require.NoError(t, err)
	whole, err := contract.answer(found, 200, http.Header{"Content-Type": {"application/json"}}, []byte(`[{"number":7,"state":"open","user":{"login":"ada"}}]`))
	require.NoError(t, err)
	for _, part := range []string{`"number":7`, `"state":"open"`, `"merged_at":null`, `"login":"ada"`, `"url":"https:`} {
		assert.Contains(t, string(whole), part)
	}
}

// Our own contract of GitLab invents no name: each is one of GitLab's own client.
func TestOurContractOfGitLabHasTheClientsNames(t *testing.T) {
	list := gitlab.ListOptions{}
	known := map[string][2][]any{ // what is sent, and read, by operation
		"GET /user":                                                                {{}, {gitlab.User{}}},
		"GET /personal_access_tokens/self":                                         {{}, {gitlab.PersonalAccessToken{}}},
		"POST /projects/{id}/statuses/{sha}":                                       {{gitlab.SetCommitStatusOptions{}}, {gitlab.CommitStatus{}}},
		"GET /projects/{id}/repository/commits/{sha}/statuses":                     {{list, gitlab.GetCommitStatusesOptions{}}, {gitlab.CommitStatus{}}},
		"GET /projects/{id}/repository/commits/{sha}/merge_requests":               {{}, {gitlab.BasicMergeRequest{}}},
		"GET /projects/{id}/repository/commits/{sha}/diff":                         {{list, gitlab.GetCommitDiffOptions{}}, {gitlab.Diff{}, gitlab.MergeRequestDiff{}}},
		"GET /projects/{id}/repository/commits":                                    {{list, gitlab.ListCommitsOptions{}}, {gitlab.Commit{}}},
		"GET /projects/{id}/repository/compare":                                    {{gitlab.CompareOptions{}}, {gitlab.Compare{}}},
		"GET /projects/{id}/repository/files/{file_path}/raw":                      {{gitlab.GetRawFileOptions{}}, {}},
		"GET /projects/{id}/merge_requests":                                        {{list, gitlab.ListProjectMergeRequestsOptions{}}, {gitlab.BasicMergeRequest{}}},
		"GET /projects/{id}/merge_requests/{merge_request_iid}/diffs":              {{list, gitlab.ListMergeRequestDiffsOptions{}}, {gitlab.MergeRequestDiff{}}},
		"GET /projects/{id}/merge_requests/{merge_request_iid}/notes":              {{list, gitlab.ListMergeRequestNotesOptions{}}, {gitlab.Note{}}},
		"POST /projects/{id}/merge_requests/{merge_request_iid}/notes":             {{gitlab.CreateMergeRequestNoteOptions{}}, {gitlab.Note{}}},
		"PUT /projects/{id}/merge_requests/{merge_request_iid}/notes/{note_id}":    {{gitlab.UpdateMergeRequestNoteOptions{}}, {gitlab.Note{}}},
		"DELETE /projects/{id}/merge_requests/{merge_request_iid}/notes/{note_id}": {{}, {}},
		"GET /projects/{id}/members/all/{user_id}":                                 {{}, {gitlab.ProjectMember{}}},
	}
	contract := GitLab(t)
	require.Len(t, contract.routes, len(known))
	for _, r := range contract.routes {
		operation := r.method + " " + r.template
		client, ok := known[operation]
		require.True(t, ok, operation)
		sent, read := names(client[0]), names(client[1])
		for _, p := range r.operation.Parameters {
			if p.Value.In == openapi3.ParameterInQuery {
				assert.Contains(t, sent, p.Value.Name, operation)
			}
		}
		if body := r.operation.RequestBody; body != nil {
			for name := range body.Value.Content["application/json"].Schema.Value.Properties {
				assert.Contains(t, sent, name, operation)
			}
		}
		for code, answer := range r.operation.Responses.Map() {
			content := jsonOf(answer.Value.Content)
			if content == nil || code >= "400" {
				continue
			}
			schema := content.Schema.Value
			if schema.Items != nil {
				schema = schema.Items.Value
			}
			for name := range schema.Properties {
				assert.Contains(t, read, name, operation)
			}
		}
	}
}

// names are what the client calls the fields of its structs on the wire.
func names(structs []any) map[string]bool {
	all := map[string]bool{}
	for _, s := range structs {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s)) {
			for _, tag := range []string{"json", "url"} {
				name, _, _ := strings.Cut(field.Tag.Get(tag), ",")
				all[name] = true
			}
		}
	}
	return all
}
