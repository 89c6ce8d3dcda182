package server_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/upstream"
	"signpost/server"
	"signpost/web"
	"signpost/webfinger"
)

// sentinels are the errors that reach the server, by package and name.
var sentinels = map[string]struct {
	err    error
	status int
	code   string
	page   string
}{
	"webfinger.ErrResource":   {webfinger.ErrResource, 400, oidc.CodeInvalidRequest, web.ProblemBadRequest},
	"directory.ErrNotFound":   {directory.ErrNotFound, 404, oidc.CodeInvalidRequest, web.ProblemNotFound},
	"issuer.ErrGone":          {issuer.ErrGone, 400, oidc.CodeInvalidRequest, web.ProblemExpired},
	"issuer.ErrOtherBrowser":  {issuer.ErrOtherBrowser, 400, oidc.CodeInvalidRequest, web.ProblemWrongBrowser},
	"issuer.ErrGuesses":       {issuer.ErrGuesses, 429, oidc.CodeTemporarilyUnavailable, web.ProblemTooMany},
	"issuer.ErrNobody":        {issuer.ErrNobody, 403, oidc.CodeAccessDenied, web.ProblemNoAddress},
	"issuer.ErrTaken":         {issuer.ErrTaken, 403, oidc.CodeAccessDenied, web.ProblemAddressTaken},
	"upstream.ErrUnavailable": {upstream.ErrUnavailable, 502, oidc.CodeTemporarilyUnavailable, web.ProblemProviderUnavailable},
	"upstream.ErrRejected":    {upstream.ErrRejected, 502, oidc.CodeServerError, web.ProblemProviderRefused},
}

// elsewhere are the errors that never reach the server, and why.
var elsewhere = map[string]string{
	"webfinger.ErrDomain":     "a domain inside a resource becomes ErrResource; the others come from the operator's declaration",
	"directory.ErrConflict":   "apply tries again",
	"issuer.ErrNotFound":      "the issuer turns it into invalid_grant, invalid_request or invalid_token",
	"issuer.ErrReplayed":      "the issuer turns it into invalid_grant",
	"issuer.ErrReused":        "the issuer turns it into invalid_grant",
	"issuer.ErrEnded":         "the issuer turns it into invalid_grant",
	"issuer.ErrUserCode":      "the page for the code is shown once more, and says so",
	"clients.ErrUnknown":      "the issuer turns it into a page, invalid_client or an inactive token",
	"clients.ErrUnavailable":  "the issuer turns it into temporarily_unavailable",
	"keys.ErrInvalid":         "issuer and exchange turn it into invalid_token and invalid_request",
	"keys.ErrExpired":         "issuer and exchange turn it into invalid_token and invalid_request",
	"keys.ErrNoKey":           "our own fault: an internal error, which is what unknown errors are",
	"keys.ErrProfile":         "our own fault, or the declaration's: an internal error",
	"tokens.ErrUnavailable":   "the issuer turns it into temporarily_unavailable",
	"keys.ErrReplaced":        "rotation starts again; it is the command line's alone",
	"scopes.ErrSyntax":        "the issuer turns what was sent into invalid_scope; what was stored is our own fault",
	"scopes.ErrCatalogue":     "the operator's declaration and the embedded catalogue",
	"configdoc.ErrInvalid":    "our own fault: an internal error, which is what unknown errors are",
	"seal.ErrOpen":            "the issuer turns it into temporarily_unavailable; else it stops the start",
	"cache.ErrUnavailable":    "the issuer turns it into temporarily_unavailable; the limiter does without",
	"store.ErrNewer":          "stops the start",
	"store.ErrNoBackup":       "the command line's alone",
	"issuer.ErrUnvouched":     "the issuer turns it into ErrGone",
	"issuer.ErrNoSession":     "shows the way in to the person's own page",
	"issuer.ErrStale":         "the person's own page says to sign in again",
	"issuer.ErrLogins":        "the person's own page says to choose fewer services",
	"issuer.ErrRepeated":      "the person's own page says that the form came before",
	"apppassword.ErrWrong":    "the issuer answers that it is not active",
	"apppassword.ErrTooMany":  "the issuer answers that it is not active, and records it",
	"apppassword.ErrTaken":    "another password is made",
	"apppassword.ErrFull":     "the issuer answers that there are too many",
	"apppassword.ErrEnded":    "the issuer answers that the sign-in has ended, and the person's own page asks them to sign in",
	"apppassword.ErrNotFound": "the issuer turns it into temporarily_unavailable, or a wrong password",
	"store.ErrKey":            "stops the start",
	"store.ErrOlder":          "stops the start",
}

// codes are the statuses of the protocol's codes when they are answered directly.
var codes = map[string]int{
	"CodeInvalidRequest": 400, "CodeInvalidClient": 401, "CodeInvalidGrant": 400, "CodeUnauthorizedClient": 400,
	"CodeUnsupportedGrantType": 400, "CodeUnsupportedResponseType": 400, "CodeInvalidScope": 400, "CodeInvalidTarget": 400,
	"CodeAccessDenied": 400, "CodeServerError": 500, "CodeTemporarilyUnavailable": 503, "CodeLoginRequired": 400,
	"CodeConsentRequired": 400, "CodeInteractionRequired": 400, "CodeRequestNotSupported": 400, "CodeRequestURINotSupported": 400,
	"CodeInvalidToken": 401, "CodeInsufficientScope": 403, "CodeUnsupportedTokenType": 400,
	"CodeInvalidRedirectURI": 400, "CodeInvalidClientMetadata": 400,
	"CodeAuthorizationPending": 400, "CodeSlowDown": 400, "CodeExpiredToken": 400,
	"CodeInvalidDPoPProof": 400, "CodeUseDPoPNonce": 400, // at the token endpoint; at resources see package server's unproven
}

// exported calls found with every exported name that a package declares as a
// constant or variable, and its value if that is a string.
func exported(t testing.TB, folder string, found func(name, value string)) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), folder+"/"+entry.Name(), nil, 0)
		must(t, err)
		for _, declaration := range file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				values, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, name := range values.Names {
					value := ""
					if i < len(values.Values) {
						if literal, ok := values.Values[i].(*ast.BasicLit); ok {
							value = strings.Trim(literal.Value, `"`)
						}
					}
					if name.IsExported() {
						found(name.Name, value)
					}
				}
			}
		}
	}
}

// TestEverySentinelHasADeliberateAnswer walks the exported errors of every package
// whose errors could reach the server.
func TestEverySentinelHasADeliberateAnswer(t *testing.T) {
	t.Parallel()
	_, _, unknown, _ := server.Shown(errors.New("unknown"))
	seen := map[string]bool{}
	for _, folder := range []string{
		"../webfinger", "../directory", "../scopes", "../configdoc", "../oidc/issuer", "../oidc/exchange", "../oidc/keys", "../oidc/tokens", "../oidc/apppassword", "../oidc/clients", "../oidc/dpop",
		"../oidc/policy", "../oidc/upstream", "../internal/audit", "../internal/cache", "../internal/seal", "../internal/store",
	} {
		exported(t, folder, func(name, _ string) {
			if !strings.HasPrefix(name, "Err") {
				return
			}
			name = folder[strings.LastIndexByte(folder, '/')+1:] + "." + name
			seen[name] = true
			want, reaches := sentinels[name]
			if _, never := elsewhere[name]; reaches == never {
				t.Errorf("%s: decide how the server answers it, or why it never gets there", name)
				return
			}
			if !reaches {
				return
			}
			// As it comes: wrapped.
			status, code, sentence, page := server.Shown(fmt.Errorf("do something: %w", want.err))
			if status != want.status || code != want.code || page != want.page || sentence == unknown {
				t.Errorf("%s: shown as %d %s %q %s, want %+v with a sentence of its own", name, status, code, sentence, page, want)
			}
		})
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(sentinels)), slices.Collect(maps.Keys(elsewhere))) {
		if !seen[name] {
			t.Errorf("%s is on the list and does not exist", name)
		}
	}
}

func TestEveryCodeHasADeliberateStatus(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	exported(t, "../oidc", func(name, value string) {
		if !strings.HasPrefix(name, "Code") {
			return
		}
		seen[name] = true
		want, known := codes[name]
		if !known {
			t.Errorf("oidc.%s: decide with which status it is answered", name)
			return
		}
		cause := errors.New("what broke inside")
		status, code, sentence, page := server.Shown(fmt.Errorf("do something: %w", oidc.E(value, "what to do").Because(cause)))
		if status != want || code != value || sentence != "what to do" {
			t.Errorf("oidc.%s: shown as %d %s %q, want %d %s and its description alone", name, status, code, sentence, want, value)
		}
		if fault := page == web.ProblemInternal || page == web.ProblemUnavailable; fault != (want >= 500) {
			t.Errorf("oidc.%s: page %q with status %d blames the wrong side", name, page, want)
		}
	})
	for name := range codes {
		if !seen[name] {
			t.Errorf("oidc.%s is on the list and does not exist", name)
		}
	}
}

// TestUnknownErrorsSayNothing: what is not known is our fault and nobody's business.
func TestUnknownErrorsSayNothing(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain": errors.New("secret detail"), "of the file system": &fs.PathError{Op: "open", Path: "secret detail", Err: fs.ErrNotExist},
		"joined": errors.Join(errors.New("secret detail"), errors.New("more")),
	} {
		status, code, sentence, page := server.Shown(err)
		if status != http.StatusInternalServerError || code != oidc.CodeServerError || page != web.ProblemInternal || strings.Contains(sentence, "secret") {
			t.Errorf("%s: shown as %d %s %q %s", name, status, code, sentence, page)
		}
	}
}

func TestUnprovenRequestsHaveAPageEach(t *testing.T) {
	t.Parallel()
	for _, page := range []string{web.ProblemBadClient, web.ProblemBadRedirect} {
		status, code, _, got := server.Shown(fmt.Errorf("check: %w", &issuer.Unproven{Page: page, Reason: "reason"}))
		if status != http.StatusBadRequest || code != oidc.CodeInvalidRequest || got != page {
			t.Errorf("%s: shown as %d %s %s", page, status, code, got)
		}
	}
	status, _, _, _ := server.Shown(&http.MaxBytesError{Limit: 1})
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d, want 413", status)
	}
}
