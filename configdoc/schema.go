package configdoc

import (
	"bytes"
	_ "embed"
	"encoding/json"
)

// SchemaMediaType is the media type of a JSON Schema
// (https://json-schema.org/draft/2020-12/json-schema-core#section-14.1).
const SchemaMediaType = "application/schema+json"

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of the document with the given "$id",
// the URL at which it is published. It describes what is there and leaves room
// for members that a later version adds.
func Schema(id string) []byte {
	quoted, _ := json.Marshal(id) // a string always has a JSON form
	return bytes.Replace(schema, []byte(`"{id}"`), quoted, 1)
}
