package groupware

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-webdav"
)

// shelf keeps the objects of one DAV service as text, by path. Each known person
// has one home with one collection in it:
// /alice@example.test/calendars/default/object.ics. Nobody reaches the path of
// somebody else.
type shelf struct {
	home   string // name of the home collection: "calendars"
	logins []string
	now    func() time.Time

	mu    sync.Mutex
	items map[string]item
}

type item struct {
	path    string
	text    []byte
	etag    string
	savedAt time.Time
}

const defaultCollection = "default"

var (
	errElsewhere = webdav.NewHTTPError(http.StatusForbidden, errors.New("this belongs to somebody else"))
	errNoSuch    = webdav.NewHTTPError(http.StatusNotFound, errors.New("there is nothing here"))
	errChanged   = webdav.NewHTTPError(http.StatusPreconditionFailed, errors.New("it is not what the request expects"))
	errFixed     = webdav.NewHTTPError(http.StatusForbidden, errors.New("the demo has one collection for each person"))
)

func newShelf(home string, logins []string, now func() time.Time) *shelf {
	return &shelf{home: home, logins: logins, now: now, items: make(map[string]item)}
}

func (s *shelf) principal(ctx context.Context) (string, error) {
	login := loginFrom(ctx)
	if !slices.Contains(s.logins, login) {
		return "", errElsewhere
	}
	return "/" + login + "/", nil
}

func (s *shelf) homePath(ctx context.Context) (string, error) {
	principal, err := s.principal(ctx)
	return principal + s.home + "/", err
}

func (s *shelf) collectionPath(ctx context.Context) (string, error) {
	home, err := s.homePath(ctx)
	return home + defaultCollection + "/", err
}

// ownCollection refuses a path that is not the collection of the person who asks.
func (s *shelf) ownCollection(ctx context.Context, p string) error {
	own, err := s.collectionPath(ctx)
	if err != nil {
		return err
	}
	if path.Clean(p) != path.Clean(own) {
		return s.notOwn(ctx, p)
	}
	return nil
}

// ownObject refuses a path that is not directly in that collection.
func (s *shelf) ownObject(ctx context.Context, p string) error {
	own, err := s.collectionPath(ctx)
	if err != nil {
		return err
	}
	if path.Dir(path.Clean(p)) != path.Clean(own) || path.Clean(p) != p {
		return s.notOwn(ctx, p)
	}
	return nil
}

func (s *shelf) notOwn(ctx context.Context, p string) error {
	principal, err := s.principal(ctx)
	if err != nil {
		return err
	}
	if strings.HasPrefix(p, principal) {
		return errNoSuch
	}
	return errElsewhere
}

func (s *shelf) get(ctx context.Context, p string) (item, error) {
	if err := s.ownObject(ctx, p); err != nil {
		return item{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[p]
	if !ok {
		return item{}, errNoSuch
	}
	return it, nil
}

// list returns the items of a collection by path.
func (s *shelf) list(ctx context.Context, collection string) ([]item, error) {
	if err := s.ownCollection(ctx, collection); err != nil {
		return nil, err
	}
	own, err := s.collectionPath(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []item
	for p, it := range s.items {
		if strings.HasPrefix(p, own) {
			found = append(found, it)
		}
	}
	slices.SortFunc(found, func(a, b item) int { return strings.Compare(a.path, b.path) })
	return found, nil
}

// put saves text if the preconditions hold (RFC 9110, section 13.1).
func (s *shelf) put(ctx context.Context, p string, text []byte, ifMatch, ifNoneMatch webdav.ConditionalMatch) (item, error) {
	if err := s.ownObject(ctx, p); err != nil {
		return item{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.items[p]
	if ifNoneMatch.IsSet() && (ifNoneMatch.IsWildcard() && exists || exists && sameETag(ifNoneMatch, old.etag)) {
		return item{}, errChanged
	}
	if ifMatch.IsSet() && (!exists || !ifMatch.IsWildcard() && !sameETag(ifMatch, old.etag)) {
		return item{}, errChanged
	}
	sum := sha256.Sum256(text)
	it := item{path: p, text: text, etag: hex.EncodeToString(sum[:8]), savedAt: s.now()}
	s.items[p] = it
	return it, nil
}

func (s *shelf) remove(ctx context.Context, p string) error {
	if err := s.ownObject(ctx, p); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.items[p]; !ok {
		return errNoSuch
	}
	delete(s.items, p)
	return nil
}

func sameETag(condition webdav.ConditionalMatch, etag string) bool {
	want, err := condition.ETag()
	return err == nil && want == etag
}
