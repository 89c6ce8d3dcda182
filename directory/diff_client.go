package directory

import "slices"

// policyChange compares which programs a tenant lets in. A new tenant is compared
// with one that says nothing of it.
func policyChange(a, b Tenant) []Change {
	details := policyDetails(a.Clients, b.Clients)
	if len(details) == 0 {
		return nil
	}
	return []Change{{Sign: Changed, Kind: kindClientPolicy, Name: b.Name, Details: details}}
}

func policyDetails(a, b ClientPolicy) []string {
	var d details
	d.value("registration", !a.RegistrationOff, !b.RegistrationOff)
	d.value("url_ids", !a.URLsOff, !b.URLsOff)
	d.value("open", !a.OpenOff, !b.OpenOff)
	for _, id := range builtInIDs() {
		d.value("built_in "+id, !slices.Contains(a.BuiltInOff, id), !slices.Contains(b.BuiltInOff, id))
	}
	d.value("device", a.device(), b.device())
	d.list("allow", matchWords(a.Allow), matchWords(b.Allow))
	d.list("deny", matchWords(a.Deny), matchWords(b.Deny))
	d.condition(a.Condition, b.Condition)
	return d
}

func matchWords(matches []ClientMatch) []string {
	words := make([]string, 0, len(matches))
	for _, m := range matches {
		key, value, _ := m.only()
		words = append(words, key+"="+value)
	}
	return words
}

func clientDetails(a, b FixedClient) []string {
	var d details
	d.value("name", a.Name, b.Name)
	d.list("redirect_uris", a.RedirectURIs, b.RedirectURIs)
	d.list("post_logout_redirect_uris", a.PostLogoutRedirectURIs, b.PostLogoutRedirectURIs)
	d.value("authentication", a.Authentication, b.Authentication)
	d.changed("secret", !slices.Equal(a.SecretHash, b.SecretHash))
	d.changed("jwks", a.JWKS != b.JWKS)
	d.value("id_token_algorithm", a.idTokenAlgorithm(), b.idTokenAlgorithm())
	d.value("dpop_bound_access_tokens", a.DPoPBound, b.DPoPBound)
	d.condition(a.Condition, b.Condition)
	return d
}

func resourceServerDetails(a, b ResourceServer) []string {
	var d details
	d.list("audiences", a.Audiences, b.Audiences)
	d.value("authentication", a.Authentication, b.Authentication)
	d.changed("secret", !slices.Equal(a.SecretHash, b.SecretHash))
	d.changed("jwks", a.JWKS != b.JWKS)
	return d
}
