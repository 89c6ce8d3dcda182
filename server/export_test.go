package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Routes lists what is routed, as "GET /path".
func Routes(h http.Handler) (routes []string) {
	for _, r := range h.(*gin.Engine).Routes() {
		routes = append(routes, r.Method+" "+r.Path)
	}
	return routes
}

// Shown is how an error is answered: to OAuth clients, to machines, to people.
func Shown(err error) (status int, code, sentence, page string) {
	f := classify(err)
	return f.status, f.code, f.sentence, f.page
}
