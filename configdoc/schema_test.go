package configdoc_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"signpost/configdoc"
)

const schemaID = "https://id.example.com/schemas/configuration.json"

// published is the schema as clients get it.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return compile(t, schemaValue(t))
}

// closed is the schema without room for members that it does not describe: what
// Signpost itself writes has to be described.
func closed(t *testing.T) *jsonschema.Schema {
	t.Helper()
	value := schemaValue(t)
	value["additionalProperties"] = false
	defs := value["$defs"].(map[string]any)
	for _, name := range []string{"account", "provider", "service", "token", "refusal", "socket", "web"} {
		defs[name].(map[string]any)["additionalProperties"] = false
	}
	return compile(t, value)
}

func schemaValue(t *testing.T) map[string]any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(configdoc.Schema(schemaID)))
	if err != nil {
		t.Fatalf("Schema(%q) is not JSON: %v", schemaID, err)
	}
	return value.(map[string]any)
}

func compile(t *testing.T, value map[string]any) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaID, value); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate returns what the schema says against data.
func validate(schema *jsonschema.Schema, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestSchemaHasTheGivenID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{schemaID, `https://id.example.com/"quoted"`} {
		var got struct {
			Schema string `json:"$schema"`
			ID     string `json:"$id"`
		}
		if err := json.Unmarshal(configdoc.Schema(id), &got); err != nil {
			t.Fatalf("Schema(%q): %v", id, err)
		}
		if got.ID != id || got.Schema != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("Schema(%q): $id %q, $schema %q", id, got.ID, got.Schema)
		}
	}
}

func TestGoldenDocumentsKeepTheSchema(t *testing.T) {
	t.Parallel()
	schema := closed(t)
	for _, file := range goldenFiles(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, section(archive, "configuration.json").Data); err != nil {
			t.Errorf("%s: configuration.json: %v", file, err)
		}
	}
}

func TestWrittenDocumentsKeepTheSchema(t *testing.T) {
	t.Parallel()
	schema := closed(t)
	rapid.Check(t, func(t *rapid.T) {
		data, err := drawDocument(t).JSON()
		if err != nil {
			t.Fatalf("JSON(): %v", err)
		}
		if err := validate(schema, data); err != nil {
			t.Fatalf("%s\n%v", data, err)
		}
	})
}

// TestSchemaAndParserAgree: what one of them refuses, the other does too.
func TestSchemaAndParserAgree(t *testing.T) {
	t.Parallel()
	schema := published(t)
	for _, c := range badDocuments(t) {
		if c.parserOnly {
			continue
		}
		if err := validate(schema, c.data); err == nil {
			t.Errorf("%s: the schema takes %s", c.name, c.data)
		}
	}
	if err := validate(schema, edited(t, func(map[string]any) {})); err != nil {
		t.Errorf("the document the bad ones are made of: %v", err)
	}
	withMore := edited(t, func(d map[string]any) { d["later"] = true; service(d)["later"] = []any{1} })
	if err := validate(schema, withMore); err != nil {
		t.Errorf("members of a later version: %v", err)
	}
}
