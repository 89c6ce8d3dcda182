package demo

import (
	"crypto/rand"
	"strings"

	"signpost/internal/demo/idp"
)

// The two organisations. Nothing crosses from one to the other.
const (
	tenantExample = "example"
	tenantOther   = "other"
)

// Person is somebody in the world, as demo.json shows them.
type Person struct {
	Address  string `json:"address"`  // also the login name at the services
	Username string `json:"username"` // at the identity provider
	Password string `json:"password"` // at the identity provider; new at each start
	Tenant   string `json:"tenant"`

	name string
}

func newPeople() []Person {
	people := []Person{
		{Address: "alice@example.test", Username: "alice", Tenant: tenantExample, name: "Alice Example"},
		{Address: "bob@example.test", Username: "bob", Tenant: tenantExample, name: "Bob Example"},
		{Address: "carol@other.test", Username: "carol", Tenant: tenantOther, name: "Carol Other"},
	}
	for i := range people {
		people[i].Password = randomPassword()
	}
	return people
}

// People returns everybody, passwords included.
func (w *World) People() []Person { return append([]Person(nil), w.people...) }

// Person returns whoever has the address.
func (w *World) Person(address string) (Person, bool) {
	for _, p := range w.people {
		if strings.EqualFold(p.Address, address) {
			return p, true
		}
	}
	return Person{}, false
}

// addressesAt returns the addresses of a tenant's people.
func addressesAt(people []Person, tenant string) []string {
	var addresses []string
	for _, p := range people {
		if p.Tenant == tenant {
			addresses = append(addresses, p.Address)
		}
	}
	return addresses
}

func peopleAt(people []Person, tenant string) []idp.Person {
	var found []idp.Person
	for _, p := range people {
		if p.Tenant == tenant {
			found = append(found, idp.Person{
				Subject: p.Username + "-" + randomText()[:8], Username: p.Username,
				Address: p.Address, Name: p.name, Password: p.Password,
			})
		}
	}
	return found
}

// randomText returns 128 random bits as letters and digits.
func randomText() string { return rand.Text() }

// randomPassword returns 80 random bits in a form that can be typed.
func randomPassword() string {
	s := strings.ToLower(randomText())
	return s[0:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:16]
}
