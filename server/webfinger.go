package server

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"signpost/webfinger"
)

// webfinger answers from the snapshot and asks nothing else: no SQL, no cache, no
// account (RFC 7033, section 4.2; R32). It is answered for every served domain at every host.
// Accept is ignored: there is one format (RFC 7033, section 4.2).
func (s *Server) webfinger(c *gin.Context) {
	resource, rels, err := webfingerQuery(c.Request.URL.RawQuery)
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	body, err := s.Answers.Current().Answer(make([]byte, 0, 1024), resource, rels)
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	c.Header("Cache-Control", "public, max-age=300")
	send(c, http.StatusOK, webfinger.MediaType, body)
}

// webfingerQuery reads resource, which must come once, and every rel.
func webfingerQuery(raw string) (resource string, rels []string, err error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", nil, fmt.Errorf("%w: query is malformed", webfinger.ErrResource)
	}
	if len(q["resource"]) != 1 {
		return "", nil, fmt.Errorf("%w: it comes %d times", webfinger.ErrResource, len(q["resource"]))
	}
	return q.Get("resource"), q["rel"], nil
}
