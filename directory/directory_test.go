package directory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverShowsItself(t *testing.T) {
	t.Parallel()
	p := IdentityProvider{Name: "staff", ClientSecret: "hunter2"}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("applied", "secret", p.ClientSecret)
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	for what, shown := range map[string]string{
		"%v": fmt.Sprintf("%v %+v", p.ClientSecret, p), "print": fmt.Sprint(p.ClientSecret), "%#v": fmt.Sprintf("%#v", p), "log": logged.String(), "JSON": string(encoded),
	} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "[secret]") {
			t.Errorf("%s shows %s", what, shown)
		}
	}
}

func TestEveryProtocolHasOneWayIn(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		s := Service{Protocol: protocol}
		if s.HTTP() == s.SASL() {
			t.Errorf("protocol %s: by URL %v, by SASL %v; want one of them", protocol, s.HTTP(), s.SASL())
		}
	}
	if s := (Service{Protocol: "gopher"}); s.HTTP() || s.SASL() {
		t.Error("a protocol nobody knows has a way in")
	}
}
