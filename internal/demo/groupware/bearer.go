package groupware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

const realm = "Signpost demo"

type loginKey struct{}

// loginFrom returns the login name that requireBearer put into the context.
func loginFrom(ctx context.Context) string {
	login, _ := ctx.Value(loginKey{}).(string)
	return login
}

// requireBearer lets a request through to next if its bearer token passes the
// check, with the login name in the context. It refuses all others as RFC 6750,
// section 3.1 says: no error code for a request without a bearer token, 401
// invalid_token, 403 insufficient_scope, 400 invalid_request.
func requireBearer(check *Check, logger *slog.Logger, next http.Handler) http.Handler {
	challenge := fmt.Sprintf("Bearer realm=%q, scope=%q", realm, check.Scope)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, code string) {
			header := challenge
			if code != "" {
				header += fmt.Sprintf(", error=%q", code)
			}
			w.Header().Set("WWW-Authenticate", header)
			http.Error(w, http.StatusText(status), status)
		}
		headers := r.Header.Values("Authorization")
		if len(headers) == 0 || !hasScheme(headers[0], "Bearer") {
			refuse(http.StatusUnauthorized, "")
			return
		}
		token, err := bearer(headers[0])
		if err != nil || len(headers) > 1 {
			refuse(http.StatusBadRequest, "invalid_request")
			return
		}
		login, err := check.Login(r.Context(), token)
		if err != nil {
			logger.InfoContext(r.Context(), "token refused", "audience", check.Audience, "reason", err)
		}
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), loginKey{}, login)))
		case errors.Is(err, ErrInsufficientScope):
			refuse(http.StatusForbidden, "insufficient_scope")
		case errors.Is(err, ErrUnavailable):
			http.Error(w, "The keys of the issuer cannot be fetched now. Try again later.", http.StatusServiceUnavailable)
		default:
			refuse(http.StatusUnauthorized, "invalid_token")
		}
	})
}

func hasScheme(authorization, scheme string) bool {
	got, _, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(got, scheme)
}
