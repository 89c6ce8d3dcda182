package webfinger_test

import (
	"encoding/json"
	"testing"

	"signpost/webfinger"
)

func TestJRDEncoding(t *testing.T) {
	t.Parallel()
	jrd := webfinger.JRD{
		Subject: "acct:alice@example.com",
		Links: []webfinger.Link{{
			Rel: "http://openid.net/specs/connect/1.0/issuer", Href: "https://id.example.com",
			Properties: webfinger.Properties{webfinger.PropertyClientID: new("open"), "urn:example:none": nil},
		}},
	}
	const want = `{"subject":"acct:alice@example.com","links":[{"rel":"http://openid.net/specs/connect/1.0/issuer",` +
		`"href":"https://id.example.com","properties":{"urn:example:none":null,"urn:signpost:oauth:client_id":"open"}}]}`
	got, err := json.Marshal(jrd)
	if err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v\nwant      %s", got, err, want)
	}
}

func TestJRDDecoding(t *testing.T) {
	t.Parallel()
	const src = `{"subject":"acct:alice@example.com","expires":"2030-01-01T00:00:00Z","links":[
		{"rel":"a","href":"https://one.example","properties":{"text":"x","null":null,"array":["y"],"number":1}},
		{"rel":"b","href":"https://two.example"},
		{"rel":"a","href":"https://three.example"}]}`
	var jrd webfinger.JRD
	if err := json.Unmarshal([]byte(src), &jrd); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	link, found := jrd.Link("a")
	if !found || link.Href != "https://one.example" {
		t.Errorf(`Link("a") = %+v, %v; want the first`, link, found)
	}
	if got := link.Properties.Text("text"); got != "x" {
		t.Errorf(`Text("text") = %q, want "x"`, got)
	}
	if value, found := link.Properties["null"]; !found || value != nil || link.Properties.Text("null") != "" {
		t.Errorf("a null property reads as %v, %v; want it there without a value", value, found)
	}
	for _, name := range []string{"array", "number"} {
		if _, found := link.Properties[name]; found {
			t.Errorf("the property %q of another type was kept (RFC 7033, section 4.4.4.5 allows string and null)", name)
		}
	}
	if _, found := jrd.Link("c"); found {
		t.Error(`Link("c") was found`)
	}
	if err := json.Unmarshal([]byte(`{"properties":[]}`), &jrd); err == nil {
		t.Error("properties that are no object were accepted")
	}
}
