package groupware

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/emersion/go-webdav"
)

// Files is a WebDAV server (RFC 4918, section 9) at the root of its port. Everybody sees a
// folder of their own as that root.
type Files struct {
	check  *Check
	logger *slog.Logger
	dir    string
	logins []string
}

// NewFiles makes a folder for each login name below dir.
func NewFiles(check *Check, logger *slog.Logger, dir string, logins []string) (*Files, error) {
	f := &Files{check, logger, dir, logins}
	for _, login := range logins {
		if err := os.MkdirAll(f.folder(login), 0o700); err != nil {
			return nil, fmt.Errorf("make folder for files: %w", err)
		}
	}
	return f, nil
}

// Serve answers on the listener until ctx ends. It has no TLS and so belongs on
// a loopback address.
func (f *Files) Serve(ctx context.Context, listener net.Listener) error {
	return serveHTTP(ctx, listener, requireBearer(f.check, f.logger, http.HandlerFunc(f.ownFolder)), f.logger)
}

// AddFile writes a file into somebody's folder.
func (f *Files) AddFile(login, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(f.folder(login), filepath.Base(name)), content, 0o600); err != nil {
		return fmt.Errorf("add file: %w", err)
	}
	return nil
}

func (f *Files) ownFolder(w http.ResponseWriter, r *http.Request) {
	login := loginFrom(r.Context())
	if !slices.Contains(f.logins, login) {
		http.Error(w, "You have no folder here.", http.StatusForbidden)
		return
	}
	handler := webdav.Handler{FileSystem: webdav.LocalFileSystem(f.folder(login))}
	handler.ServeHTTP(w, r)
}

func (f *Files) folder(login string) string {
	return filepath.Join(f.dir, filepath.Base(login))
}
