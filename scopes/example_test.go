package scopes_test

import (
	"fmt"

	"signpost/scopes"
)

func ExampleCatalogue_Cover() {
	text := map[string]string{"en": "read your mail"}
	catalogue, err := scopes.Default().With([]scopes.Scope{
		{Name: "urn:example:mail.read", Title: map[string]string{"en": "Read mail"}, Text: text},
		{Name: scopes.Mail, Includes: []string{"urn:example:mail.read"}, Title: map[string]string{"en": "Mail"}, Text: text},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	granted := scopes.Of("openid", scopes.Mail)
	fmt.Println(catalogue.Cover(granted, scopes.Of("urn:example:mail.read")))
	fmt.Println(catalogue.Cover(granted, scopes.Of(scopes.Calendars)))
	fmt.Println(catalogue.Narrow(granted, scopes.Of("urn:example:mail.read", scopes.Calendars)))
	// Output:
	// true
	// false
	// urn:example:mail.read
}
