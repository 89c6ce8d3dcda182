package service

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/keys"
)

// Errors of ExportKeys that are the caller's to explain.
var (
	// ErrNoService means that the tenant declares no service with that id.
	ErrNoService = errors.New("no such service is declared")
	// ErrNoOwnKey means that the service's tokens are signed by a key that is in /jwks.
	ErrNoOwnKey = errors.New("its server has no key of its own")
)

// exportEvery is how often ExportKeys looks for keys that were replaced, and for those whose
// time has come.
const exportEvery = time.Second

// ExportOptions say which public keys to write, and where.
type ExportOptions struct {
	Tenant string // empty for the only one
	// Service is the id of a service whose server has a key of its own (profile cyrus): Path is the
	// file for the one key that signs. If it is empty, Path is the folder for Dovecot: it gets
	// all keys for access tokens that are published.
	Service string
	Path    string
	Watch   bool // go on until the context ends
	Now     func() time.Time
}

// Exported is what was done.
type Exported struct {
	Written []string // paths of new files, and of those that were changed
	Removed []string // paths of files with keys that are published no more
	// Next is when another key begins to sign for a server with a key of its own; zero if none is made.
	Next time.Time
}

// ExportKeys writes public keys into files for servers that read them there, and tells what it
// did. Whatever happens in between, each file is whole. With Watch it tells again whenever it
// changed something, or could not: the first failure ends it, later ones it tells once and
// tries again. Errors are ErrNoTenant, ErrWhichTenant, ErrNoService, ErrNoOwnKey, ErrNoKeysYet,
// and those of the database and of files.
func ExportKeys(ctx context.Context, c Config, o ExportOptions, tell func(Exported, error)) (err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	box, db, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e := export{ring: keys.New(db, box, o.Now, nil), use: keys.UseAccess, ours: map[string]bool{}}
	tenant, err := exportTenant(ctx, db, o.Tenant)
	if err != nil {
		return err
	}
	e.tenant, e.folder = tenant.Name, o.Path
	if o.Service != "" {
		if e.use, err = ownUse(tenant, o.Service); err != nil {
			return err
		}
		e.folder, e.file = filepath.Split(filepath.Clean(o.Path))
	}
	done, err := e.run(ctx)
	if err != nil {
		return err
	}
	tell(done, nil)
	if o.Watch {
		e.watch(ctx, tell)
	}
	return nil
}

// exportTenant returns the tenant that is meant.
func exportTenant(ctx context.Context, db *store.Store, name string) (directory.Tenant, error) {
	declared, _, err := db.Tenants(ctx)
	if err != nil {
		return directory.Tenant{}, fmt.Errorf("load tenants: %w", err)
	}
	var names []string
	for _, t := range declared {
		if t.Name == name || name == "" && len(declared) == 1 {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if name == "" && len(names) > 1 {
		return directory.Tenant{}, fmt.Errorf("%w: %s", ErrWhichTenant, strings.Join(names, ", "))
	}
	return directory.Tenant{}, fmt.Errorf("tenant %q: %w; declared are: %s", name, ErrNoTenant, strings.Join(names, ", "))
}

// ownUse returns the use of the key of a service's server.
func ownUse(t directory.Tenant, service string) (keys.Use, error) {
	i := slices.IndexFunc(t.Services, func(s directory.Service) bool { return s.ID == service })
	if i < 0 {
		return "", fmt.Errorf("tenant %s, service %q: %w", t.Name, service, ErrNoService)
	}
	if !hasOwnKey(t.Services[i]) {
		return "", fmt.Errorf("tenant %s, service %s: %w", t.Name, service, ErrNoOwnKey)
	}
	return keys.UseServer(t.Services[i].Audience), nil
}

func hasOwnKey(s directory.Service) bool { return s.Profile == oidc.ProfileCyrus }

// ownKeys returns the audiences of the servers that have keys of their own.
func ownKeys(t directory.Tenant) (audiences []string) {
	for _, s := range t.Services {
		if hasOwnKey(s) {
			audiences = append(audiences, s.Audience)
		}
	}
	return audiences
}

// export is where keys go.
type export struct {
	ring   *keys.Keys
	tenant string
	use    keys.Use
	folder string
	file   string          // the one file in it, for a server with a key of its own
	ours   map[string]bool // files that hold keys of ours, or did
}

// watch exports again and again until ctx ends.
func (e *export) watch(ctx context.Context, tell func(Exported, error)) {
	tick := time.NewTicker(exportEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		done, err := e.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing, len(done.Written)+len(done.Removed) > 0:
			tell(done, err)
		}
		failing = err != nil
	}
}

// run writes what is missing, and only then removes what is published no more.
func (e *export) run(ctx context.Context) (done Exported, err error) {
	if err := e.ring.Load(ctx, e.tenant); err != nil {
		return done, err
	}
	all, err := e.ring.Publics(e.tenant, e.use)
	if err != nil {
		return done, err
	}
	files := map[string][]byte{}
	for _, k := range all {
		e.ours[e.place(k)] = true
		if e.single() && k.State == keys.Next {
			done.Next = k.SignsFrom
		}
		if !e.wanted(k) {
			continue
		}
		if files[e.place(k)], err = publicPEM(k.Key); err != nil {
			return done, fmt.Errorf("write key %s: %w", k.ID, err)
		}
	}
	if len(all) == 0 && len(e.ours) == 0 {
		return done, fmt.Errorf("tenant %s: %w", e.tenant, ErrNoKeysYet)
	}
	return done, e.write(files, &done)
}

// single reports whether one key goes into one file.
func (e *export) single() bool {
	_, own := e.use.Server()
	return own
}

// wanted reports whether a key is in a file: all that are published for Dovecot, or else the
// one that signs.
func (e *export) wanted(k keys.Public) bool {
	if e.single() {
		return k.State == keys.Signs
	}
	return k.State == keys.Signs || k.State == keys.Next || k.State == keys.Old
}

// place is the path of a key's file in the folder. Dovecot looks for a key below the token's
// "azp", which its tokens do not have.
func (e *export) place(k keys.Public) string {
	if e.single() {
		return e.file
	}
	return filepath.Join("default", k.Algorithm, k.ID)
}

func publicPEM(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// write makes the folder hold these files of ours, and says which it changed.
func (e *export) write(files map[string][]byte, done *Exported) error {
	folder := e.folder
	if folder == "" {
		folder = "."
	}
	if !e.single() {
		if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // public keys, for another user's process
			return fmt.Errorf("make folder: %w", err)
		}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		changed, err := replaceFile(root, name, files[name])
		if err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(folder, name), err)
		}
		if changed {
			done.Written = append(done.Written, filepath.Join(folder, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.ours)) {
		if _, wanted := files[name]; wanted {
			continue
		}
		removed, err := removeFile(root, name)
		if err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Join(folder, name), err)
		}
		if removed {
			done.Removed = append(done.Removed, filepath.Join(folder, name))
		}
	}
	return nil
}
