package directory

import "signpost/oidc"

// BuiltInClients returns the programs that every tenant knows without declaring them,
// each with the id and the redirect URIs that it is shipped with (R13). They have no
// secret: whoever has the program has read it. http://localhost is theirs alone,
// because they cannot be told to use an address. OpenCloud's web client is not here:
// its redirect URIs lie at the organisation's own host, so the tenant declares it.
// The list is a fresh copy.
func BuiltInClients() []FixedClient {
	return []FixedClient{
		{
			ID: "thunderbird", Name: "Thunderbird", Authentication: oidc.AuthNone,
			RedirectURIs: []string{"http://localhost", "http://localhost/", "http://127.0.0.1", "http://127.0.0.1/"},
		},
		{
			ID: "OpenCloudDesktop", Name: "OpenCloud Desktop Client", Authentication: oidc.AuthNone,
			RedirectURIs: []string{"http://127.0.0.1", "http://localhost"},
		},
		{
			ID: "OpenCloudAndroid", Name: "OpenCloud Android App", Authentication: oidc.AuthNone,
			RedirectURIs:           []string{"oc://android.opencloud.eu"},
			PostLogoutRedirectURIs: []string{"oc://android.opencloud.eu"},
		},
		{
			ID: "OpenCloudIOS", Name: "OpenCloud iOS App", Authentication: oidc.AuthNone,
			RedirectURIs:           []string{"oc://ios.opencloud.eu"},
			PostLogoutRedirectURIs: []string{"oc://ios.opencloud.eu"},
		},
	}
}

// builtInIDs returns the ids of the built-in clients: the switches of a tenant.
func builtInIDs() []string {
	return namesOf(BuiltInClients(), func(c FixedClient) string { return c.ID })
}
