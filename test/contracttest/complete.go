package contracttest

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// examples of an answer, in the order of their names; one of nil where there is
// none.
func examples(content *openapi3.MediaType) []any {
	list := []any{}
	if content.Example != nil {
		list = append(list, content.Example)
	}
	for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
		list = append(list, content.Examples[name].Value.Value)
	}
	if len(list) == 0 {
		list = append(list, nil)
	}
	return list
}

// complete gives a value what its schema requires and a test's server left out:
// null where that is allowed, else what the contract's example has there. What
// the server said stays as it is.
func complete(schema *openapi3.Schema, value, example any) any {
	if list, ok := value.([]any); ok && schema.Items != nil {
		var first any
		if shown, ok := example.([]any); ok && len(shown) > 0 {
			first = shown[0]
		}
		for i := range list {
			list[i] = complete(schema.Items.Value, list[i], first)
		}
		return list
	}
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	shown, _ := example.(map[string]any)
	for _, part := range schema.AllOf {
		object, _ = complete(part.Value, object, example).(map[string]any)
	}
	for _, part := range slices.Concat(schema.OneOf, schema.AnyOf) {
		whole, ok := complete(part.Value, clone(object), example).(map[string]any)
		if !ok || part.Value.VisitJSON(whole) != nil {
			continue
		}
		object = whole
		if d := schema.Discriminator; d != nil {
			for _, kind := range slices.Sorted(maps.Keys(d.Mapping)) {
				if _, said := object[d.PropertyName]; !said && d.Mapping[kind].Ref == part.Ref {
					object[d.PropertyName] = kind
				}
			}
		}
		break
	}
	for _, name := range schema.Required {
		if _, said := object[name]; said {
			continue
		}
		property := schema.Properties[name]
		known, isShown := shown[name]
		switch {
		case property != nil && property.Value.PermitsNull():
			object[name] = nil
		case isShown:
			object[name] = clone(known)
		case property != nil: // examples are older than their schemas
			object[name] = blank(property.Value)
		}
	}
	for name, property := range schema.Properties {
		if said, ok := object[name]; ok {
			object[name] = complete(property.Value, said, shown[name])
		}
	}
	return object
}

// blank is a value of a schema that says nothing.
func blank(schema *openapi3.Schema) any {
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Type.Is("array"):
		return []any{}
	case schema.Type.Is("string"):
		return ""
	case schema.Type.Is("boolean"):
		return false
	case schema.Type.Is("integer"), schema.Type.Is("number"):
		return 0.0
	}
	return map[string]any{}
}

func withoutNulls(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = withoutNulls(value[i])
		}
	case map[string]any:
		maps.DeleteFunc(value, func(_ string, v any) bool { return v == nil })
		for name := range value {
			value[name] = withoutNulls(value[name])
		}
	}
	return value
}

// clone copies a value of JSON, whatever types it was read into.
func clone(value any) (copied any) {
	if err := json.Unmarshal(marshal(value), &copied); err != nil {
		panic(err)
	}
	return copied
}

func marshal(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return text
}
