package detect

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every field of a real document stands in docs/evidence.schema.json, and what
// the schema requires is there.
func TestADocumentHasTheFieldsOfItsSchema(t *testing.T) {
	text, err := os.ReadFile("../../docs/evidence.schema.json")
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(text, &schema))
	require.Equal(t, DocumentSchema, schema["properties"].(map[string]any)["schema"].(map[string]any)["const"])
	for _, story := range stories {
		text, err := json.Marshal(play(t, story))
		require.NoError(t, err)
		var document any
		require.NoError(t, json.Unmarshal(text, &document))
		conforms(t, schema, schema, document, story.name)
	}
}

// conforms checks fields, required ones and the lengths of lists.
func conforms(t *testing.T, root, schema map[string]any, value any, at string) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[ref[len("#/$defs/"):]].(map[string]any)
	}
	if either, ok := schema["anyOf"].([]any); ok { // null or something
		if value == nil {
			return
		}
		conforms(t, root, either[1].(map[string]any), value, at)
		return
	}
	switch v := value.(type) {
	case map[string]any:
		fields, ok := schema["properties"].(map[string]any)
		require.True(t, ok, "%s is no object in the schema", at)
		for name, x := range v {
			field, ok := fields[name].(map[string]any)
			require.True(t, ok, "%s.%s is not in the schema", at, name)
			conforms(t, root, field, x, at+"."+name)
		}
		for _, name := range schema["required"].([]any) {
			require.Contains(t, v, name, at)
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		require.True(t, ok, "%s is no list in the schema", at)
		if most, ok := schema["maxItems"].(float64); ok {
			require.LessOrEqual(t, len(v), int(most), at)
		}
		for _, x := range v {
			conforms(t, root, items, x, at+"[]")
		}
	case string:
		if allowed, ok := schema["enum"].([]any); ok {
			require.Contains(t, allowed, v, at)
		}
	}
}
