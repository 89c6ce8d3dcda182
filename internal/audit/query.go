package audit

import (
	"context"
	"time"
)

// Stored is an event of the record.
type Stored struct {
	// ID grows with every event. Events of one process have theirs in the order in which
	// they were recorded; those of several may become visible out of the order of the ids.
	ID int64
	Event
}

// Query picks out events. The zero value picks all; each field that is set leaves
// only the events that have exactly what it says.
type Query struct {
	Tenant      string
	Account     string // account ID
	Client      string // client ID
	Grant       string // grant ID
	Service     string // target audience
	Kind        string // KindToken and its like
	Outcome     string // Allowed or Refused
	Rule        string // how the rule begins: "exchange/" is all of exchange
	RequestID   string
	SubjectHash string
	Since       time.Time // events that happened then or later
	Until       time.Time // events that happened before

	Newest bool  // the newest first, by their ids; otherwise the oldest
	After  int64 // ID of the event after which to go on, in the order asked for; 0 begins
	Limit  int   // how many at most; 0 is DefaultLimit
}

// DefaultLimit is how many events are read at most if a Query does not say: about 400
// bytes each.
const DefaultLimit = 1000

// Reader finds events in the record. Implemented by internal/store.
type Reader interface {
	// Events returns the events that a query picks out, in its order, at most its Limit.
	Events(ctx context.Context, q Query) ([]Stored, error)
}
