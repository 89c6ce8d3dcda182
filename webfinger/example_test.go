package webfinger_test

import (
	"fmt"

	"signpost/webfinger"
)

func ExampleParseResource() {
	r, err := webfinger.ParseResource("acct:alice%40gmail.com@Example.com.")
	fmt.Println(r.User, r.Domain, err)
	fmt.Println(r)

	_, err = webfinger.ParseResource("alice@example.com")
	fmt.Println(err)
	// Output:
	// alice@gmail.com example.com <nil>
	// acct:alice%40gmail.com@example.com
	// webfinger: malformed resource: no scheme: write an address as "acct:" and the address
}
