// Package migrations is the schema of Signpost's database as SQL, in the format
// of goose: a folder for each engine, with the same numbers and the same names in
// every one. The files are forward-only and are never edited once released; a
// change of the schema is a new file. Only internal/store reads them.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// FS returns the migrations of an engine, at the root of the returned file
// system. The engines are "postgres" and "sqlite"; another name is an error.
func FS(dialect string) (fs.FS, error) {
	switch dialect {
	case "postgres", "sqlite":
		return fs.Sub(files, dialect)
	default:
		return nil, fmt.Errorf("migrations: no schema for the engine %q", dialect)
	}
}
