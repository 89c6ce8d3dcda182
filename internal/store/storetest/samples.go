package storetest

import (
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/scopes"
)

// exampleTenant uses every field that a tenant has.
func exampleTenant() directory.Tenant {
	return directory.Tenant{
		Name:      "example",
		Placement: directory.PlacementBase,
		Title:     "Example Organisation",
		Help:      "https://example.com/help",
		Domains: []directory.Domain{
			{Name: "example.com", Verification: directory.VerificationOperator},
			{Name: "example.net", Verification: directory.VerificationOperator},
			{Name: "example.biz", Verification: directory.VerificationOperator},
		},
		IdentityProviders: []directory.IdentityProvider{
			{
				Name: "staff", Title: "Example staff", Issuer: "https://login.example.com/realms/staff",
				ClientID: "signpost", ClientSecret: "correct horse battery staple",
				Scopes: []string{"openid", "profile", "email"}, Domains: []string{"example.com", "example.net"},
				AddressClaim: "email", AddressTrust: directory.TrustEmailVerified, LoginClaim: "preferred_username", NameClaim: "name",
				KeepClaims: []string{"groups", "department"},
			},
			{
				Name: "guests", Title: "Guests", Issuer: "https://guests.example.com", ClientID: "public",
				Scopes: []string{"openid"}, Domains: []string{}, AddressTrust: directory.TrustDirectory,
			},
		},
		Services: []directory.Service{
			{
				ID: "mail", Protocol: directory.ProtocolIMAP, Title: "Mail",
				Endpoints: []directory.Endpoint{
					{Host: "imap.example.com", Port: 993, Security: directory.SecurityTLS},
					{Host: "imap.example.com", Port: 143, Security: directory.SecurityStartTLS},
				},
				Audience: "mail.example.com", Scopes: []string{"urn:ietf:params:oauth:scope:mail"},
				Authentication: []string{"oauthbearer", "xoauth2"}, Username: "{address}",
				Profile: "dovecot", Algorithm: "ES256", Lifetime: 15 * time.Minute, Credential: "sso",
				InBroad: true, DPoP: directory.DPoPAccepts, Order: 10,
				Condition: `"staff" in claims.groups`, AppPasswords: true, Source: directory.SourceLocal,
			},
			{
				ID: "submission", Protocol: directory.ProtocolSubmission, Title: "Outgoing mail",
				Endpoints: []directory.Endpoint{{Host: "smtp.example.com", Port: 25, Security: directory.SecurityNone}},
				Audience:  "mail.example.com", Scopes: []string{"urn:ietf:params:oauth:scope:mail"},
				Profile: "dovecot", Algorithm: "RS256", Order: 20, Insecure: true, UnexpiringTokens: true,
			},
			{
				ID: "calendar", Protocol: directory.ProtocolCalDAV, Title: "Calendar & tasks <all>",
				Endpoints: []directory.Endpoint{{URL: "https://dav.example.com/{local}/"}},
				Audience:  "https://dav.example.com/", Scopes: []string{"urn:ietf:params:oauth:scope:calendars"},
				Profile: "rfc9068", Lifetime: 1500 * time.Millisecond, Order: 20,
			},
		},
		Scopes: []scopes.Scope{{
			Name: "urn:example:scope:tickets", Opens: []string{"https"}, Includes: []string{"urn:example:scope:tickets.read"}, Broad: true,
			Title: map[string]string{"en": "Tickets", "de": "Vorgänge"},
			Text:  map[string]string{"en": "Read and answer your tickets.", "de": "Vorgänge lesen und beantworten."},
		}},
		Clients: directory.ClientPolicy{
			RegistrationOff: true, URLsOff: true, OpenOff: true, BuiltInOff: []string{"org.example.mail", "org.example.chat"},
			Device: directory.DeviceOn, Condition: `client.kind != "open"`,
			Allow: []directory.ClientMatch{{ID: "https://app.example.net/client"}, {SoftwareID: "4NRB1-0XZABZI9E6-5SM3R"}, {Host: "app.example.net"}},
			Deny:  []directory.ClientMatch{{IDHash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {Redirect: "com.example.bad"}},
		},
		FixedClients: []directory.FixedClient{
			{
				ID: "webmail", Name: "Webmail <of Example>",
				RedirectURIs:           []string{"https://webmail.example.com/back", "https://webmail.example.com/silent"},
				PostLogoutRedirectURIs: []string{"https://webmail.example.com/"},
				Authentication:         "client_secret_basic", SecretHash: hash("webmail's secret"), IDTokenAlgorithm: "ES256",
			},
			{
				ID: "batch", RedirectURIs: []string{}, Authentication: "private_key_jwt", JWKS: `{"keys":[]}`, DPoPBound: true,
				Condition: `claims.department == "operations"`,
			},
		},
		ResourceServers: []directory.ResourceServer{
			{Name: "mail-server", Audiences: []string{"mail.example.com"}, Authentication: "client_secret_basic", SecretHash: hash("mail server's secret")},
			{Name: "dav-server", Audiences: []string{"https://dav.example.com/"}, Authentication: "private_key_jwt", JWKS: `{"keys":[]}`},
		},
		TokenProfiles: []oidc.Profile{
			{
				Name: "groupware", Type: oidc.TypeJWT, ClientID: true, AuthorizedParty: true, AudienceArray: true,
				IssuedAt: true, NotBefore: true, Backdate: 1500 * time.Millisecond, UserClaim: "email",
			},
			{Name: "hidden", Opaque: true},
			{Name: "behind-a-proxy", Type: oidc.TypeJWT, LoginSubject: true},
		},
		BroadToken: oidc.ProfileOpaque,
	}
}

func otherTenant() directory.Tenant {
	return directory.Tenant{
		Name:      "other",
		Placement: directory.PlacementPath,
		Title:     "Other Organisation",
		Domains:   []directory.Domain{{Name: "example.org", Verification: directory.VerificationOperator}},
		// The same issuer as the tenant example's, so that one person can have an account at both.
		IdentityProviders: []directory.IdentityProvider{{
			Name: "staff", Title: "Staff", Issuer: "https://login.example.com/realms/staff", ClientID: "other",
			Scopes: []string{"openid"}, Domains: []string{"example.com", "example.net"}, AddressTrust: directory.TrustEmailVerified,
		}},
	}
}
