package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"signpost/directory"
)

// deniedID is what the kill switch says of an id alone: no document is read for an
// id that is switched off.
func deniedID(r *directory.Realm, id string) bool {
	return slices.ContainsFunc(r.Clients.Deny, func(m directory.ClientMatch) bool { return matchesID(m, id) })
}

// excludedID reports whether a list of admitted clients leaves a URL id out whatever its
// document says: nothing in the list speaks of documents, and nothing names the id or its host.
func excludedID(r *directory.Realm, id string) bool {
	list := r.Clients.Allow
	return len(list) > 0 && !slices.ContainsFunc(list, func(m directory.ClientMatch) bool {
		return m.SoftwareID != "" || m.Redirect != "" || matchesID(m, id)
	})
}

// matchesID compares an id with the fields of a match that speak of ids.
func matchesID(m directory.ClientMatch, id string) bool {
	switch {
	case m.ID != "":
		return m.ID == id
	case m.IDHash != "":
		sum := sha256.Sum256([]byte(id))
		return m.IDHash == hex.EncodeToString(sum[:])
	case m.Host != "":
		host, ok := hostOfID(id)
		return ok && m.Host == host
	}
	return false
}

// admitted reports whether a tenant's policy lets a client in.
func admitted(r *directory.Realm, c Client) bool {
	p := r.Clients
	switch {
	case c.Kind == Open && p.OpenOff,
		c.Kind == BuiltIn && slices.Contains(p.BuiltInOff, c.ID),
		slices.ContainsFunc(p.Deny, func(m directory.ClientMatch) bool { return denies(m, c) }):
		return false
	case c.Kind == Registered || c.Kind == URL:
		return len(p.Allow) == 0 || allows(p.Allow, c)
	}
	return true
}

// denies reports whether what the client says of itself is meant; its id was
// looked at before. One redirect URI of several is enough: it is the way in that is to be shut.
func denies(m directory.ClientMatch, c Client) bool {
	return matchesSoftware(m, c) ||
		slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return matchesRedirect(m, uri) })
}

// allows reports whether a list lets a client in: by name, or because every one of its
// redirect URIs is in the list. A listed one does not bring others with it.
func allows(list []directory.ClientMatch, c Client) bool {
	if slices.ContainsFunc(list, func(m directory.ClientMatch) bool { return matchesID(m, c.ID) || matchesSoftware(m, c) }) {
		return true
	}
	listed := func(uri string) bool {
		return slices.ContainsFunc(list, func(m directory.ClientMatch) bool { return matchesRedirect(m, uri) })
	}
	return len(c.RedirectURIs) > 0 && !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !listed(uri) })
}

func matchesSoftware(m directory.ClientMatch, c Client) bool {
	return m.SoftwareID != "" && m.SoftwareID == c.SoftwareID
}

// matchesRedirect compares with a whole URI, up to host and port of a loopback address, or
// with a scheme. The names of the loopback interface are one here: who shuts a way in, or
// opens it, means the device and not one of its addresses.
func matchesRedirect(m directory.ClientMatch, uri string) bool {
	if m.Redirect == "" {
		return false
	}
	scheme, _, _ := strings.Cut(uri, ":")
	return m.Redirect == scheme || m.Redirect == uri || sameOnDevice(m.Redirect, uri)
}

func sameOnDevice(listed, uri string) bool {
	_, listedRest, ok := cutPort(listed)
	if !ok {
		return false
	}
	_, rest, ok := cutPort(uri)
	return ok && rest == listedRest
}
