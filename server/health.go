package server

import (
	"slices"
	"time"
)

// State of a part of the service.
type State string

// States. Failed has one meaning: this process should get no requests. What all
// processes share, such as the database, is never worse than Degraded when it is
// away: a load balancer would take all of them out at once, and public discovery,
// which needs none of it, with them.
const (
	OK       State = "ok"
	Degraded State = "degraded" // something is missing; what does not need it goes on
	Failed   State = "failed"
)

// Part of the service whose health is told.
type Part string

// Parts. Only the first two are ever Failed.
const (
	PartProcess     Part = "process"     // failed while it stops
	PartFacts       Part = "facts"       // failed until what is declared was loaded, degraded while a change cannot be
	PartDatabase    Part = "database"    // degraded while it does not answer
	PartCache       Part = "cache"       // degraded while it does not answer
	PartRevocations Part = "revocations" // degraded while it cannot be known which grants have ended (R26)
	PartAudit       Part = "audit"       // degraded while events cannot be written
)

// Cause is the health of one part as it was noticed last.
type Cause struct {
	Part  Part      `json:"part"`
	State State     `json:"state"`
	Since time.Time `json:"since,omitzero"` // when it came into this state; zero if nobody noticed
	// Text is a sentence that tells an operator what that means. It is ours: what a driver
	// says may hold names of hosts and users.
	Text string `json:"text"`
}

// Health tells how the service is. Implemented by internal/service.
type Health interface {
	// Causes returns one for each part, also for those that are well. It returns what
	// was noticed last and asks nothing, so that it cannot hang.
	Causes() []Cause
}

// ready reports whether a process in this state should get requests. One of which
// nothing is known should not.
func ready(causes []Cause) bool {
	return len(causes) > 0 && !slices.ContainsFunc(causes, func(c Cause) bool { return c.State == Failed })
}
