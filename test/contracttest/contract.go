// Package contracttest holds what is said to a forge, and what a test's server
// answers in its place, to the forge's OpenAPI contract.
package contracttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Contract is what a forge's API takes and gives.
type Contract struct {
	name   string
	doc    *openapi3.T
	routes []route // the most specific first
	// lenientNulls: Swagger 2 knows no null, which its servers say all the same.
	lenientNulls bool
	ignored      []string // query parameters that every operation may be given
}

// route is one operation.
type route struct {
	method, template string
	shape            *regexp.Regexp // of an escaped path, a group for each name
	names            []string
	item             *openapi3.PathItem
	operation        *openapi3.Operation
}

var parameterShape = regexp.MustCompile(`\{([^}]+)\}`)

// newContract reads the operations of a document whose paths stand below base.
// A body's field that the operation does not name is refused: contracts leave
// that open, and a misspelt field would pass.
func newContract(name, base string, doc *openapi3.T) *Contract {
	c := &Contract{name: name, doc: doc}
	for template, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			r := route{method: method, template: template, item: item, operation: operation}
			parts := parameterShape.Split(template, -1)
			shape := "^" + regexp.QuoteMeta(base+parts[0])
			for i, m := range parameterShape.FindAllStringSubmatch(template, -1) {
				r.names = append(r.names, m[1])
				one := "([^/]+)"
				if p := operation.Parameters.GetByInAndName(openapi3.ParameterInPath, m[1]); p != nil && (p.Extensions["x-multi-segment"] == true || m[1] == "filepath") { // what Swagger 2 cannot say
					one = "(.+)"
				}
				shape += one + regexp.QuoteMeta(parts[i+1])
			}
			r.shape = regexp.MustCompile(shape + "$")
			if operation.RequestBody != nil {
				for _, content := range operation.RequestBody.Value.Content {
					closed := *content.Schema.Value
					if no := false; closed.AdditionalProperties.Has == nil && closed.AdditionalProperties.Schema == nil {
						closed.AdditionalProperties.Has = &no
					}
					content.Schema = &openapi3.SchemaRef{Value: &closed}
				}
			}
			c.routes = append(c.routes, r)
		}
	}
	words := func(r route) int { return len(parameterShape.ReplaceAllString(r.template, "")) }
	slices.SortFunc(c.routes, func(a, b route) int { return words(b) - words(a) })
	return c
}

// Request holds a request to the contract.
func (c *Contract) Request(r *http.Request, body []byte) error {
	_, err := c.request(r, body)
	return err
}

func (c *Contract) request(r *http.Request, body []byte) (*route, error) {
	for i := range c.routes {
		found := &c.routes[i]
		values := found.shape.FindStringSubmatch(r.URL.EscapedPath())
		if found.method != r.Method || values == nil {
			continue
		}
		input := &openapi3filter.RequestValidationInput{
			Request: r.Clone(context.Background()), PathParams: map[string]string{},
			Route: &routers.Route{Spec: c.doc, Path: found.template, PathItem: found.item, Method: r.Method, Operation: found.operation},
			Options: &openapi3filter.Options{
				MultiError: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
				SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.DisableSchemaErrorDetails()},
				AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc, // contracts say little of who may do what
			},
		}
		input.Request.Body = io.NopCloser(bytes.NewReader(body))
		for i, name := range found.names {
			value, err := url.PathUnescape(values[i+1])
			if err != nil {
				return found, err
			}
			input.PathParams[name] = value
		}
		var errs []error
		for name := range r.URL.Query() {
			if !slices.Contains(c.ignored, name) && found.operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil && found.item.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
				errs = append(errs, fmt.Errorf("it takes no query parameter %q", name))
			}
		}
		errs = append(errs, openapi3filter.ValidateRequest(context.Background(), input))
		return found, errors.Join(errs...)
	}
	return nil, errors.New("there is no such operation")
}

// Response holds an answer to the contract of the request's operation.
func (c *Contract) Response(r *http.Request, code int, header http.Header, body []byte) error {
	found, _ := c.request(r, nil)
	if found == nil {
		return errors.New("there is no such operation")
	}
	_, err := c.answer(found, code, header, body)
	return err
}

// answer completes what a test's server answers and holds it to the contract.
// What a forge may refuse is hardly ever written down: another code of a refusal
// is let through as it is.
func (c *Contract) answer(found *route, code int, header http.Header, body []byte) ([]byte, error) {
	documented := found.operation.Responses.Status(code)
	if documented == nil {
		if code >= http.StatusBadRequest {
			return body, nil
		}
		return body, fmt.Errorf("it does not answer %d", code)
	}
	content := jsonOf(documented.Value.Content)
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind != "application/json" || content == nil || content.Schema == nil {
		return body, nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return body, err
	}
	if c.lenientNulls {
		value = withoutNulls(value)
	}
	var err error
	for _, example := range examples(content) {
		whole := complete(content.Schema.Value, clone(value), example)
		if err = content.Schema.Value.VisitJSON(whole, openapi3.MultiErrors(), openapi3.VisitAsResponse(), openapi3.DisableSchemaErrorDetails()); err == nil {
			return marshal(whole), nil
		}
	}
	return body, err
}

func jsonOf(content openapi3.Content) *openapi3.MediaType {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		if strings.HasPrefix(kind, "application/json") {
			return content[kind]
		}
	}
	return nil
}

// Serve lets a test's server answer under the contract: whatever is asked or
// answered against it fails the test. An answer need hold only what a test is
// about: see complete.
func (c *Contract) Serve(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		found, err := c.request(r, body)
		if err != nil {
			t.Errorf("%s's contract refuses %s %s %s: %v", c.name, r.Method, r.URL, body, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answered := httptest.NewRecorder()
		next.ServeHTTP(answered, r)
		said := answered.Body.Bytes()
		if found != nil {
			if said, err = c.answer(found, answered.Code, answered.Header(), said); err != nil {
				t.Errorf("%s's contract refuses the answer to %s %s, %d %s: %v", c.name, r.Method, r.URL, answered.Code, said[:min(len(said), 500)], err)
			}
		}
		maps.Copy(w.Header(), answered.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answered.Code)
		_, _ = w.Write(said)
	})
}

// Before stands before a real server of the forge: the URL to call in its place.
// Whatever is asked or answered against the contract fails the test.
func (c *Contract) Before(t testing.TB, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(target)
	through.Transport = &http.Transport{DisableKeepAlives: true}
	front := httptest.NewServer(c.Serve(t, through))
	t.Cleanup(front.Close)
	return front.URL
}

// Examples answers each operation with the contract's own example of its first
// success, or with nothing of the right kind.
func (c *Contract) Examples() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, _ := c.request(r, nil)
		if found == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		codes := slices.Sorted(maps.Keys(found.operation.Responses.Map()))
		code := 0
		_, _ = fmt.Sscan(codes[0], &code)
		content := jsonOf(found.operation.Responses.Status(code).Value.Content)
		if content == nil || content.Schema == nil {
			w.WriteHeader(code)
			return
		}
		example := examples(content)[0]
		if example == nil {
			example = blank(content.Schema.Value)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(marshal(example))
	})
}
