// Package webfinger is RFC 7033 and RFC 7565 as pure code: the forms of a
// resource, the JSON Resource Descriptor that answers it, and the link relations
// and properties with which Signpost says where to go next. It does no I/O:
// directory compiles the answers, server sends them, client reads them.
package webfinger

import "errors"

// Path is where every host answers WebFinger (RFC 7033, section 4).
const Path = "/.well-known/webfinger"

// MediaType is the media type of a JRD (RFC 7033, section 10.2).
const MediaType = "application/jrd+json"

// Link relations of Signpost. The issuer's relation is oidc.RelIssuer.
const (
	RelScopes        = "urn:signpost:rel:scopes"        // the scope document of the issuer
	RelConfiguration = "urn:signpost:rel:configuration" // the person's configuration, for a broad token
)

// Properties of the issuer link.
const (
	PropertyScope    = "urn:signpost:oauth:scope"     // the scopes that open everything, one space between them
	PropertyClientID = "urn:signpost:oauth:client_id" // the client id that every native application may use
)

// ErrResource means that a resource is malformed. Answer 400 (RFC 7033,
// section 4.2). Errors that wrap it say in one sentence what is wrong, and never
// repeat the resource: it is somebody's address.
var ErrResource = errors.New("webfinger: malformed resource")

// ErrDomain means that a name is not a domain name.
var ErrDomain = errors.New("webfinger: not a domain name")
