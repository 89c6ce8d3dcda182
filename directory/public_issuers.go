package directory

import (
	"slices"
	"strings"
)

// publicIssuers are identity providers where anybody can get an account and, at
// some of them, write any address into it: what they say without having verified
// it is nobody's directory. Each stands for its host and the hosts below it, and
// for its path and the paths below that. The list cannot be complete; it is here
// for those that people do try.
var publicIssuers = []string{
	"access.line.me",
	"account.apple.com",
	"accounts.google.com",
	"accounts.spotify.com",
	"api.login.yahoo.com",
	"appleid.apple.com",
	"auth.atlassian.com",
	"auth.login.yahoo.co.jp",
	"bitbucket.org",
	"codeberg.org",
	"discord.com",
	"dropbox.com",
	"facebook.com",
	"gitea.com",
	"github.com",
	"githubusercontent.com",
	"gitlab.com",
	"huggingface.co",
	"id.twitch.tv",
	"id.vk.com",
	"kauth.kakao.com",
	"linkedin.com",
	"login.live.com",
	"login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad", // Microsoft's tenant of all private accounts
	"login.salesforce.com",
	"login.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad",
	"login.yahoo.com",
	"oauth.platform.intuit.com",
	"oauth.telegram.org",
	"orcid.org",
	"paypal.com",
	"slack.com",
	"sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad",
}

// isPublic reports whether an issuer is one of publicIssuers. What is no URL is
// refused elsewhere.
func isPublic(issuer string) bool {
	u, err := parseURL(issuer)
	if err != nil {
		return false
	}
	path := strings.ToLower(u.EscapedPath()) + "/"
	return slices.ContainsFunc(publicIssuers, func(public string) bool {
		host, top, _ := strings.Cut(public, "/")
		atHost := u.Hostname() == host || strings.HasSuffix(u.Hostname(), "."+host)
		return atHost && (top == "" || strings.HasPrefix(path, "/"+top+"/"))
	})
}
