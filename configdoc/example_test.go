package configdoc_test

import (
	"fmt"
	"log"

	"signpost/configdoc"
)

func ExampleDocument_JSON() {
	document := configdoc.Document{
		Account:       configdoc.Account{Subject: "4Jm0pGq8TzS2kYw6Ba9dXQ", Addresses: []string{"alice@example.com"}},
		Provider:      configdoc.Provider{Name: "Example Organisation"},
		Issuer:        "https://id.example.com",
		TokenEndpoint: "https://id.example.com/token",
		Incoming: []configdoc.Service{{
			ID:             "mail",
			Protocol:       "imap",
			Endpoints:      []configdoc.Endpoint{{Host: "imap.example.com", Port: 993, Security: configdoc.SecurityTLS}},
			Username:       "alice@example.com",
			Authentication: []string{"oauthbearer"},
			Credential:     "sso",
			Audience:       "imap.example.com",
			Scope:          "urn:ietf:params:oauth:scope:mail",
		}},
	}
	data, err := document.JSON()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output:
	// {"account":{"subject":"4Jm0pGq8TzS2kYw6Ba9dXQ","addresses":["alice@example.com"]},"provider":{"name":"Example Organisation"},"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/token","incoming":[{"id":"mail","protocol":"imap","endpoints":[{"host":"imap.example.com","port":993,"security":"tls"}],"username":"alice@example.com","authentication":["oauthbearer"],"credential":"sso","audience":"imap.example.com","scope":"urn:ietf:params:oauth:scope:mail","order":0}],"outgoing":[],"calendars":[],"contacts":[],"files":[],"chat":[],"other":[]}
}

func ExampleParse() {
	document, err := configdoc.Parse([]byte(`{
		"account": {"subject": "4Jm0pGq8TzS2kYw6Ba9dXQ", "addresses": ["alice@example.com"]},
		"provider": {},
		"issuer": "https://id.example.com",
		"token_endpoint": "https://id.example.com/token",
		"calendars": [{
			"id": "calendar", "protocol": "caldav", "endpoints": [{"url": "https://dav.example.com/alice"}],
			"authentication": ["bearer"], "credential": "sso", "audience": "https://dav.example.com",
			"scope": "urn:ietf:params:oauth:scope:calendars", "order": 1
		}]
	}`))
	if err != nil {
		log.Fatal(err)
	}
	for _, service := range document.Services() {
		fmt.Println(service.ID, service.Endpoints[0].URL, service.Scope)
	}
	// Output: calendar https://dav.example.com/alice urn:ietf:params:oauth:scope:calendars
}
