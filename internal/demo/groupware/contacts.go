package groupware

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/emersion/go-vcard"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/carddav"
)

// Contacts is a CardDAV server (RFC 6352, section 6) at the root of its port.
type Contacts struct {
	check  *Check
	logger *slog.Logger
	shelf  *shelf
}

// NewContacts makes an empty address book for each login name.
func NewContacts(check *Check, logger *slog.Logger, logins []string) *Contacts {
	return &Contacts{check, logger, newShelf("contacts", logins, check.Now)}
}

// Serve answers on the listener until ctx ends. It has no TLS and so belongs on
// a loopback address.
func (c *Contacts) Serve(ctx context.Context, listener net.Listener) error {
	return serveHTTP(ctx, listener, requireBearer(c.check, c.logger, &carddav.Handler{Backend: c}), c.logger)
}

// AddContact puts a card into somebody's address book.
func (c *Contacts) AddContact(login, uid, name, address, note string) error {
	card := make(vcard.Card)
	card.SetValue(vcard.FieldVersion, "4.0")
	card.SetValue(vcard.FieldUID, uid)
	card.SetValue(vcard.FieldFormattedName, name)
	card.SetValue(vcard.FieldEmail, address)
	card.SetValue(vcard.FieldNote, note)

	ctx := context.WithValue(context.Background(), loginKey{}, login)
	collection, err := c.shelf.collectionPath(ctx)
	if err != nil {
		return fmt.Errorf("add contact: %w", err)
	}
	_, err = c.PutAddressObject(ctx, collection+uid+".vcf", card, &carddav.PutAddressObjectOptions{})
	if err != nil {
		return fmt.Errorf("add contact: %w", err)
	}
	return nil
}

// CurrentUserPrincipal returns the path of the person who asks.
func (c *Contacts) CurrentUserPrincipal(ctx context.Context) (string, error) {
	return c.shelf.principal(ctx)
}

// AddressBookHomeSetPath returns the path of the person's address books.
func (c *Contacts) AddressBookHomeSetPath(ctx context.Context) (string, error) {
	return c.shelf.homePath(ctx)
}

// ListAddressBooks returns the person's one address book.
func (c *Contacts) ListAddressBooks(ctx context.Context) ([]carddav.AddressBook, error) {
	collection, err := c.shelf.collectionPath(ctx)
	if err != nil {
		return nil, err
	}
	return []carddav.AddressBook{{
		Path: collection, Name: "Contacts",
		SupportedAddressData: []carddav.AddressDataType{{ContentType: vcard.MIMEType, Version: "4.0"}},
	}}, nil
}

// GetAddressBook returns the address book at a path.
func (c *Contacts) GetAddressBook(ctx context.Context, path string) (*carddav.AddressBook, error) {
	if err := c.shelf.ownCollection(ctx, path); err != nil {
		return nil, err
	}
	all, err := c.ListAddressBooks(ctx)
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// CreateAddressBook refuses: each person has one address book.
func (*Contacts) CreateAddressBook(context.Context, *carddav.AddressBook) error { return errFixed }

// DeleteAddressBook refuses: each person has one address book.
func (*Contacts) DeleteAddressBook(context.Context, string) error { return errFixed }

// GetAddressObject returns the card at a path.
func (c *Contacts) GetAddressObject(ctx context.Context, path string, _ *carddav.AddressDataRequest) (*carddav.AddressObject, error) {
	it, err := c.shelf.get(ctx, path)
	if err != nil {
		return nil, err
	}
	return addressObject(it)
}

// ListAddressObjects returns the cards of an address book.
func (c *Contacts) ListAddressObjects(ctx context.Context, path string, _ *carddav.AddressDataRequest) ([]carddav.AddressObject, error) {
	items, err := c.shelf.list(ctx, path)
	if err != nil {
		return nil, err
	}
	var objects []carddav.AddressObject
	for _, it := range items {
		object, err := addressObject(it)
		if err != nil {
			return nil, err
		}
		objects = append(objects, *object)
	}
	return objects, nil
}

// QueryAddressObjects returns the cards of an address book that a filter lets through.
func (c *Contacts) QueryAddressObjects(ctx context.Context, path string, query *carddav.AddressBookQuery) ([]carddav.AddressObject, error) {
	objects, err := c.ListAddressObjects(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	if query != nil && len(query.PropFilters) == 0 {
		return objects, nil // a filter without conditions lets everything through; the library's lets nothing
	}
	return carddav.Filter(query, objects)
}

// PutAddressObject saves a card.
func (c *Contacts) PutAddressObject(ctx context.Context, path string, card vcard.Card, o *carddav.PutAddressObjectOptions) (*carddav.AddressObject, error) {
	var text bytes.Buffer
	if err := vcard.NewEncoder(&text).Encode(card); err != nil {
		return nil, webdav.NewHTTPError(http.StatusBadRequest, err)
	}
	it, err := c.shelf.put(ctx, path, text.Bytes(), o.IfMatch, o.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	return addressObject(it)
}

// DeleteAddressObject removes a card.
func (c *Contacts) DeleteAddressObject(ctx context.Context, path string) error {
	return c.shelf.remove(ctx, path)
}

func addressObject(it item) (*carddav.AddressObject, error) {
	card, err := vcard.NewDecoder(bytes.NewReader(it.text)).Decode()
	if err != nil {
		return nil, fmt.Errorf("read contact: %w", err)
	}
	return &carddav.AddressObject{
		Path: it.path, ModTime: it.savedAt, ContentLength: int64(len(it.text)), ETag: it.etag, Card: card,
	}, nil
}
