package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const longToken = "0123456789abcdef0123"

func users(t *testing.T, name, password string) *Users {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseUsers("# users\n\n" + name + ":" + string(hash) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tokens(t *testing.T, file string) *Tokens {
	t.Helper()
	parsed, err := ParseTokens(file)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func basic(name, password string) *http.Request {
	r := httptest.NewRequest("GET", "http://example.com/v2/", nil)
	r.SetBasicAuth(name, password)
	return r
}

func withHeader(value string) *http.Request {
	r := httptest.NewRequest("GET", "http://example.com/v2/", nil)
	r.Header.Set("Authorization", value)
	return r
}

func TestGate(t *testing.T) {
	g := &Gate{Users: users(t, "ann", "secret:word"), Tokens: tokens(t, longToken), Issuer: NewIssuer([32]byte{}, time.Now)}
	for name, c := range map[string]struct {
		request *http.Request
		who     string
	}{
		"a user":                      {basic("ann", "secret:word"), "ann"},
		"a wrong password":            {basic("ann", "secret"), ""},
		"an empty password":           {basic("ann", ""), ""},
		"somebody else":               {basic("bob", "secret:word"), ""},
		"a token":                     {withHeader("Bearer " + longToken), "token"},
		"a token as a password":       {basic("ci", longToken), "ci"},
		"a wrong token":               {withHeader("Bearer " + longToken + "4"), ""},
		"an issued token":             {withHeader("bearer " + g.Issuer.issue("ann")), "ann"},
		"a token that another issued": {withHeader("Bearer " + NewIssuer([32]byte{1}, time.Now).issue("ann")), ""},
		"nothing":                     {withHeader(""), ""},
		"nonsense":                    {withHeader("Bearer"), ""},
	} {
		for range 2 { // what is remembered must not change what is right
			who, challenge := g.Admit(c.request)
			if who != c.who || (challenge == "") != (c.who != "") {
				t.Errorf("%s: admitted as %q, challenge %q; want %q", name, who, challenge, c.who)
			}
		}
	}
}

// Guessing must not keep out those who are known, nor outlive who guesses.
func TestAFloodOfGuesses(t *testing.T) {
	g := &Gate{Users: users(t, "ann", "secret")}
	if who, _ := g.Admit(basic("ann", "secret")); who != "ann" {
		t.Fatalf("admitted as %q", who)
	}
	for range cap(g.Users.slots) {
		g.Users.slots <- struct{}{}
	}
	if who, _ := g.Admit(basic("ann", "secret")); who != "ann" {
		t.Errorf("who is remembered is admitted as %q", who)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if who, challenge := g.Admit(basic("ann", "guess").WithContext(gone)); challenge == "" {
		t.Errorf("a guess is admitted as %q", who)
	}
}

func TestAGateWithNobodyAdmitsNobody(t *testing.T) {
	for _, r := range []*http.Request{basic("", ""), withHeader("Bearer "), withHeader("Bearer ..")} {
		if who, challenge := new(Gate).Admit(r); challenge == "" {
			t.Errorf("admitted as %q", who)
		}
	}
}

func TestIssuedTokensEnd(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	i := NewIssuer([32]byte{}, func() time.Time { return now })
	token := i.issue("ann")
	now = now.Add(lifetime - time.Second)
	if who, ok := i.check(token); !ok || who != "ann" {
		t.Errorf("in time: %q, %v", who, ok)
	}
	now = now.Add(time.Second)
	if _, ok := i.check(token); ok {
		t.Error("it is good after its time")
	}
	now = now.AddDate(-1, 0, 0)
	if _, ok := i.check(token); ok {
		t.Error("it is good for a year more, because the clock was set back")
	}
	if _, ok := i.check(i.issue("ann")); !ok {
		t.Error("no token is good after the clock was set back")
	}
}

func TestTheChallengeSaysWhereTokensAre(t *testing.T) {
	g := &Gate{Users: users(t, "ann", "x"), Issuer: NewIssuer([32]byte{}, time.Now)}
	if _, got := g.Admit(withHeader("")); got != `Bearer realm="http://example.com/token",service="registry"` {
		t.Errorf("the challenge is %s", got)
	}
	g.Realm = "https://front.example.com/token"
	if _, got := g.Admit(withHeader("")); got != `Bearer realm="https://front.example.com/token",service="registry"` {
		t.Errorf("with a realm it is %s", got)
	}
	g.Issuer = nil
	if _, got := g.Admit(withHeader("")); got != `Basic realm="registry"` {
		t.Errorf("without an issuer it is %s", got)
	}
}

func TestTheTokenEndpoint(t *testing.T) {
	g := &Gate{Users: users(t, "ann", "secret"), Issuer: NewIssuer([32]byte{}, time.Now)}
	ask := func(method, password string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/token?service=registry", nil)
		r.SetBasicAuth("ann", password)
		answer := httptest.NewRecorder()
		g.ServeToken(answer, r)
		return answer
	}
	answer := ask("GET", "secret")
	var got struct {
		Token   string
		Seconds int `json:"expires_in"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || got.Seconds != 300 {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	if who, challenge := g.Admit(withHeader("Bearer " + got.Token)); who != "ann" {
		t.Errorf("the token admits %q, %s", who, challenge)
	}
	if answer := ask("GET", "wrong"); answer.Code != http.StatusUnauthorized || strings.Contains(answer.Body.String(), "token\":") {
		t.Errorf("a wrong password gets %d %s", answer.Code, answer.Body)
	}
	if answer := ask("POST", "secret"); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST gets %d", answer.Code)
	}
}

func TestFilesAreChecked(t *testing.T) {
	for _, file := range []string{"", "# nobody\n", "ann", "ann:secret", ":$2y$05$abc", "ann:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "ann:$2y$31$" + strings.Repeat("a", 53)} {
		if _, err := ParseUsers(file); err == nil {
			t.Errorf("users %q: no error", file)
		}
	}
	for _, file := range []string{"", "#\n", "short", "two words that are long enough"} {
		if _, err := ParseTokens(file); err == nil {
			t.Errorf("tokens %q: no error", file)
		}
	}
}

// FuzzBearer checks that only what was issued is admitted.
func FuzzBearer(f *testing.F) {
	g := &Gate{Issuer: NewIssuer([32]byte{}, time.Now)}
	good := g.Issuer.issue("ann")
	f.Add("Bearer a.b.c")
	f.Add("Bearer YW5u.9999999999.")
	f.Fuzz(func(t *testing.T, header string) {
		if who, challenge := g.Admit(withHeader(header)); challenge == "" && !strings.HasSuffix(header, good) {
			t.Errorf("%q is admitted as %q", header, who)
		}
	})
}

// FuzzFiles checks that of a file of users or tokens only what it names is taken for one.
func FuzzFiles(f *testing.F) {
	f.Add("ann:$2y$05$" + strings.Repeat("a", 53) + "\n# nobody\n\nbob:$2a$10$" + strings.Repeat("b", 53))
	f.Add("ann:$2y$31$" + strings.Repeat("a", 53))
	f.Add("a-token-that-is-long-enough\r\n#\nanother-one-that-is-long-enough")
	f.Fuzz(func(t *testing.T, file string) {
		hashes, cost, err := parseHashes(file)
		if err == nil && (cost > maxCost || len(hashes) == 0) {
			t.Errorf("%d users with a cost of %d", len(hashes), cost)
		}
		for name := range hashes {
			if !strings.Contains(file, name+":$") {
				t.Errorf("%q is no user of the file", name)
			}
		}
		tokens, err := ParseTokens(file)
		if err == nil && len(tokens.sums) == 0 || tokens.has("") {
			t.Error("no token is one")
		}
	})
}
