package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

const secret = "s3cr3t-p4ssw0rd"

// password is the only password.
var password = keychain{authn.AuthConfig{Username: "user", Password: secret}}

type keychain struct{ config authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.config), nil
}

// demandingPassword lets requests reach f and the registry with the password only.
func demandingPassword(f fault) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user != "user" || pass != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			return refuse(w, 401, "UNAUTHORIZED", "who are you?")
		}
		r.Header.Del("Authorization")
		return f(w, r)
	}
}

// tokens is a token server whose tokens are lists of scopes, and the registry's side of it.
type tokens struct {
	url string
	mu  sync.Mutex
	n   int // tokens given
	// deny are scopes that nobody gets; who asks for one gets the others, or nothing if strict.
	deny    []string
	strict  bool
	refused int
}

func newTokens(t *testing.T) *tokens {
	s := &tokens{}
	server := httptest.NewServer(http.HandlerFunc(s.token))
	t.Cleanup(server.Close)
	s.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return s
}

func (s *tokens) token(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	if user, pass, _ := r.BasicAuth(); user != "user" || pass != secret {
		refuse(w, 401, "UNAUTHORIZED", "wrong password")
		return
	}
	var granted []string
	for _, scope := range r.Form["scope"] {
		for _, one := range strings.Fields(scope) {
			if !slices.Contains(s.deny, one) {
				granted = append(granted, one)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strict && len(granted) < len(r.Form["scope"]) {
		s.refused++
		refuse(w, 403, "DENIED", "not that one")
		return
	}
	s.n++
	json.NewEncoder(w).Encode(map[string]any{"token": strings.Join(granted, " "), "expires_in": 300})
}

// demand lets through what the token of a request allows.
func (s *tokens) demand(w http.ResponseWriter, r *http.Request) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	name, _, _ = strings.Cut(name, "/manifests/")
	action := "push"
	if r.Method == "GET" || r.Method == "HEAD" {
		action = "pull"
	}
	have := strings.Fields(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	allows := func(name, action string) bool {
		return slices.ContainsFunc(have, func(scope string) bool {
			actions, ok := strings.CutPrefix(scope, "repository:"+name+":")
			return ok && slices.Contains(strings.Split(actions, ","), action)
		})
	}
	if allows(name, action) {
		if from := r.URL.Query().Get("from"); from != "" && !allows(from, "pull") {
			noMounts(w, r) // as registries do
		}
		r.Header.Del("Authorization")
		return false
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:%s:pull,push"`, s.url, name))
	return refuse(w, 401, "UNAUTHORIZED", "authentication required")
}

func TestATokenForEachScope(t *testing.T) {
	s := newTokens(t)
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), s.demand)
	var src mem.Store
	shared := layers("token", 4, 50_000)
	root := blobtest.Image(t, &src, linux, shared...)
	client := remote.New(remote.Options{Keychain: password})
	push(t, client, address, "one", &src, root)
	if s.n != 1 {
		t.Errorf("one push took %d tokens", s.n)
	}
	proxy.Reset()
	report := push(t, client, address, "two", &src, root)
	if report.Mounted.Blobs != 5 {
		t.Errorf("report is %+v; want 5 mounted with a token for both repositories", report)
	}
	if s.n > 3 {
		t.Errorf("two pushes took %d tokens", s.n)
	}
}

// asking is a keychain that asks somebody who does not answer.
type asking struct{ asked, never chan struct{} }

func (a asking) Resolve(authn.Resource) (authn.Authenticator, error) {
	close(a.asked)
	<-a.never
	return authn.Anonymous, nil
}

// TestCancellingDoesNotWaitForCredentials: their helpers hear of no context.
func TestCancellingDoesNotWaitForCredentials(t *testing.T) {
	_, address := remotetest.NewProxy(t, remotetest.InMemory(t), demandingPassword(nil))
	k := asking{make(chan struct{}), make(chan struct{})}
	defer close(k.never)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-k.asked
		cancel()
	}()
	var src mem.Store
	root := blobtest.Image(t, &src, linux)
	to := open(t, remote.New(remote.Options{Keychain: k}), address, "app")
	if _, err := blob.Copy(ctx, to, &src, blob.CopyOptions{}, root); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestNoRightToMountIsNoFailure: the blob is sent instead.
func TestNoRightToMountIsNoFailure(t *testing.T) {
	s := newTokens(t)
	s.deny = []string{"repository:private/base:pull"}
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), s.demand)
	var src mem.Store
	base := layers("private", 20, 1000)
	client := remote.New(remote.Options{Keychain: password, Requests: 1})
	for _, layer := range base {
		if err := client.Hint(reference(address, "private/base"), blobtest.Describe(layer)); err != nil {
			t.Fatal(err)
		}
	}
	push(t, client, address, "app", &src, blobtest.Image(t, &src, linux, base...))
	seen, _ := proxy.Reset()
	wantRequests(t, seen, map[string]int{"HEAD manifest": 2, "POST blob": 41, "PUT blob": 21, "PUT manifest": 1})
}

// TestATokenServerThatGivesAllOrNothing is asked once for what it does not give.
func TestATokenServerThatGivesAllOrNothing(t *testing.T) {
	s := newTokens(t)
	s.deny, s.strict = []string{"repository:private/base:pull"}, true
	_, address := remotetest.NewProxy(t, remotetest.Distribution(t), s.demand)
	var src mem.Store
	base := layers("strict", 5, 1000)
	client := remote.New(remote.Options{Keychain: password})
	for _, layer := range base {
		if err := client.Hint(reference(address, "private/base"), blobtest.Describe(layer)); err != nil {
			t.Fatal(err)
		}
	}
	root := blobtest.Image(t, &src, linux, base...)
	to := quick.Sink(open(t, client, address, "app"))
	if _, err := blob.Copy(t.Context(), to, &src, blob.CopyOptions{Jobs: 1}, root); err != nil {
		t.Fatal(err)
	}
	if s.refused != 1 {
		t.Errorf("asked %d times for a token that is not given", s.refused)
	}
}

func TestRefusedCredentialsAreNamedAndNotShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.json")
	wrong := `{"auths":{"%s":{"username":"user","password":"wr0ng-p4ssw0rd"}}}`
	s := newTokens(t)
	for name, f := range map[string]fault{
		"by password": demandingPassword(func(http.ResponseWriter, *http.Request) bool { return false }),
		"by token":    s.demand,
	} {
		t.Run(name, func(t *testing.T) {
			_, address := remotetest.NewProxy(t, remotetest.Olareg(t), f)
			if err := os.WriteFile(file, fmt.Appendf(nil, wrong, address), 0o600); err != nil {
				t.Fatal(err)
			}
			keys := remote.NewKeychain(func(key string) string { return map[string]string{"REGISTRY_AUTH_FILE": file}[key] })
			var src mem.Store
			root := blobtest.Image(t, &src, linux, []byte("layer"))
			_, err := blob.Copy(t.Context(), open(t, remote.New(remote.Options{Keychain: keys}), address, "app"), &src, blob.CopyOptions{}, root)
			var said *remote.Error
			if !errors.As(err, &said) {
				t.Fatalf("error is %v", err)
			}
			all := err.Error() + said.Hint()
			for _, want := range []string{"registry " + address + "/app", "401 unauthorized", file, "docker login " + address} {
				if !strings.Contains(all, want) {
					t.Errorf("%q does not say %q", all, want)
				}
			}
			for _, hidden := range []string{"wr0ng", "dXNlcjp3"} { // plain, and in base64
				if strings.Contains(all, hidden) {
					t.Errorf("%q shows the password", all)
				}
			}
		})
	}
}

func TestNobodyIsToldToLogIn(t *testing.T) {
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), demandingPassword(nil))
	home := t.TempDir()
	keys := remote.NewKeychain(func(key string) string { return map[string]string{"HOME": home}[key] })
	r := open(t, remote.New(remote.Options{Keychain: keys}), address, "app")
	var src mem.Store
	_, err := r.Missing(t.Context(), blobtest.Image(t, &src, linux))
	var said *remote.Error
	if !errors.As(err, &said) || !strings.Contains(said.Hint(), "run docker login "+address) || !strings.Contains(said.Hint(), home) {
		t.Errorf("error %v does not say where credentials were looked for, and what to run", err)
	}
}
