package remote_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/bazel-contrib/rules_img/internal/blob/remote"
)

// TestGooglesKeychainIsForGooglesRegistries logs in as a service account with a token server of the test.
func TestGooglesKeychainIsForGooglesRegistries(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"google's","token_type":"Bearer","expires_in":3600}`)
	}))
	defer server.Close()
	home := t.TempDir()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", writeServiceAccount(t, home, server.URL))
	getenv := func(key string) string { return map[string]string{"HOME": home}[key] }

	if got := authorization(t, remote.NewKeychain(getenv), "registry.example"); got != (authn.AuthConfig{}) || asked > 0 {
		t.Errorf("for a stranger: %+v, after asking Google %d times", got, asked)
	}
	if got := authorization(t, remote.NewKeychain(getenv), "europe-docker.pkg.dev"); got.Password != "google's" {
		t.Errorf("for Google's registry: %+v", got)
	}
	docker := `{"auths":{"europe-docker.pkg.dev":{"auth":"dXNlcjpmaWxl"}}}`
	if err := os.MkdirAll(filepath.Join(home, ".docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(docker), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := authorization(t, remote.NewKeychain(getenv), "europe-docker.pkg.dev"); got.Password != "file" {
		t.Errorf("for Google's registry, which Docker's file knows: %+v", got)
	}
}

func writeServiceAccount(t *testing.T, dir, tokenURI string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "test@example.com", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "account.json")
	if err := os.WriteFile(path, account, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func authorization(t *testing.T, k authn.Keychain, registry string) authn.AuthConfig {
	t.Helper()
	reg, err := name.NewRegistry(registry)
	if err != nil {
		t.Fatal(err)
	}
	found, err := k.Resolve(reg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := found.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return *c
}
