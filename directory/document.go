package directory

import (
	"signpost/configdoc"
	"signpost/scopes"
)

// Document returns a person's configuration: the services that the granted
// scopes open, in whole or in part, for which the person has a login name, and which has says
// that the person has, by order. A service whose condition does not hold is left out by has; nil
// leaves none out.
func (r *Realm) Document(account configdoc.Account, h Holder, granted scopes.Set, has func(Service) bool) configdoc.Document {
	d := configdoc.Document{
		Account:       account,
		Provider:      configdoc.Provider{Name: r.Title, Help: r.Help},
		Issuer:        r.Issuer,
		TokenEndpoint: r.URL("/token"),
	}
	for _, s := range r.Services {
		scope := r.Catalogue.Opening(granted, scopes.Of(s.Scopes...))
		if scope.Len() == 0 || has != nil && !has(s) {
			continue
		}
		service, ok := r.documentService(s, h, scope)
		if !ok {
			continue
		}
		kind := kindOf(&d, s.Protocol)
		*kind = append(*kind, service)
	}
	return d
}

// documentService returns a service as a person sees it, with the scope to ask
// for in an exchange, or false if a template cannot be filled for this person.
func (r *Realm) documentService(s Service, h Holder, scope scopes.Set) (configdoc.Service, bool) {
	username, ok := r.LoginName(s, h)
	if !ok {
		return configdoc.Service{}, false
	}
	endpoints := make([]configdoc.Endpoint, 0, len(s.Endpoints))
	for _, e := range s.Endpoints {
		url, ok := fillURL(e.URL, h)
		if !ok {
			return configdoc.Service{}, false
		}
		endpoints = append(endpoints, configdoc.Endpoint{Host: e.Host, Port: e.Port, Security: e.Security, URL: url})
	}
	return configdoc.Service{
		ID:             s.ID,
		Protocol:       s.Protocol,
		Title:          s.Title,
		Endpoints:      endpoints,
		Username:       username,
		Authentication: s.Authentication,
		Credential:     s.Credential,
		Audience:       s.Audience,
		Resource:       s.Audience,
		Scope:          scope.String(),
		Order:          s.Order,
		Insecure:       s.Insecure,
	}, true
}

// kindOf returns the list of the document in which a protocol belongs.
func kindOf(d *configdoc.Document, protocol string) *[]configdoc.Service {
	switch protocol {
	case ProtocolIMAP, ProtocolPOP3, ProtocolJMAP:
		return &d.Incoming
	case ProtocolSubmission:
		return &d.Outgoing
	case ProtocolCalDAV:
		return &d.Calendars
	case ProtocolCardDAV:
		return &d.Contacts
	case ProtocolWebDAV:
		return &d.Files
	case ProtocolXMPP, ProtocolMatrix:
		return &d.Chat
	}
	return &d.Other
}
