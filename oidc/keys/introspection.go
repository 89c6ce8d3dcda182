package keys

// introspectionBody is a signed answer (RFC 9701, section 5). It has neither "sub" nor
// "exp" at its top, so that nobody takes it for a token.
type introspectionBody struct {
	Issuer   string         `json:"iss"`
	Audience string         `json:"aud"`
	IssuedAt int64          `json:"iat"`
	Answer   map[string]any `json:"token_introspection"`
}

// SignIntrospection writes an answer of the introspection endpoint as a JWT (RFC 9701,
// section 5) by the tenant's key for that alone. Audience is the id of the
// resource server that asked. ErrNoKey if the tenant has no such key.
func (k *Keys) SignIntrospection(tenant, issuer, audience string, answer map[string]any) (string, error) {
	body := introspectionBody{Issuer: issuer, Audience: audience, IssuedAt: k.now().Unix(), Answer: answer}
	return k.signJSON(tenant, Line{UseIntrospection, ES256}, typeIntrospection, &body)
}
