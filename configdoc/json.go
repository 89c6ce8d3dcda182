package configdoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxSize is the length in bytes up to which Parse reads a document.
const MaxSize = 1 << 20

// JSON returns the document as application/json. The same document gives the
// same bytes, so that an entity tag can be made of them. Arrays are never null;
// strings that are optional and empty are left out. A document that the schema
// would refuse is an error that wraps ErrInvalid: a fault of whoever filled it in.
func (d Document) JSON() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is not for HTML, and "&" is common in URLs
	if err := encoder.Encode(d.withArrays()); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Parse reads a document as a client gets it. A member of the wrong type, one
// that the schema demands and that is absent, or an endpoint without TLS in a
// service that is not marked insecure makes it an error that wraps ErrInvalid:
// do not use any part of it. Members without a meaning here are ignored, as is
// what a later version may add; null counts as absent, an absent array as empty.
func Parse(data []byte) (Document, error) {
	if len(data) > MaxSize {
		return Document{}, fmt.Errorf("read configuration: %w: longer than %d bytes", ErrInvalid, MaxSize)
	}
	if !utf8.Valid(data) {
		return Document{}, fmt.Errorf("read configuration: %w: not UTF-8", ErrInvalid)
	}
	var d Document
	if err := json.Unmarshal(data, &d); err != nil {
		return Document{}, fmt.Errorf("read configuration: %w: %w", ErrInvalid, err)
	}
	if err := d.check(); err != nil {
		return Document{}, fmt.Errorf("read configuration: %w", err)
	}
	return d.withArrays(), nil
}

// withArrays returns a copy in which no array is nil and none is shared with d.
func (d Document) withArrays() Document {
	d.Account.Addresses = append([]string{}, d.Account.Addresses...)
	for _, kind := range d.kinds() {
		services := append([]Service{}, *kind...)
		for i, service := range services {
			services[i].Endpoints = append([]Endpoint{}, service.Endpoints...)
			services[i].Authentication = append([]string{}, service.Authentication...)
		}
		*kind = services
	}
	return d
}
