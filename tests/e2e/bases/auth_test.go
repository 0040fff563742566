package bases_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

const user, password = "someone", "pass:word"

// wantsBasic lets in who shows the password.
func wantsBasic(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if u, p, ok := r.BasicAuth(); ok && u == user && p == password {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	refuses(http.StatusUnauthorized)(w, r, next)
}

// wantsToken lets in who shows a token for the repository, which /token gives to those with the password.
func wantsToken(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.URL.Path == "/token" {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			refuses(http.StatusUnauthorized)(w, r, next)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"token": "for " + r.URL.Query().Get("scope")})
		return
	}
	if r.Header.Get("Authorization") == "Bearer for repository:locked:pull" {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test",scope="repository:locked:pull"`, r.Host))
	refuses(http.StatusUnauthorized)(w, r, next)
}

// TestLockedRegistries pulls from registries that want credentials, with each downloader and by a build action.
func TestLockedRegistries(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "workspace")
	basic, token := newProxy(t, registry, wantsBasic).start(), newProxy(t, registry, wantsToken).start()
	helped := newProxy(t, registry, wantsBasic).start()
	secure := newProxy(t, registry, wantsBasic)
	secure.StartTLS()

	w.WriteFile("home/ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	t.Setenv("SSL_CERT_FILE", filepath.Join(w.Dir, "home", "ca.pem"))
	helper := fmt.Sprintf("#!/bin/sh\necho '{\"ServerURL\":\"x\",\"Username\":%q,\"Secret\":%q}'\n", user, password)
	w.WriteFile("home/docker-credential-bases", helper)
	bazeltest.Must(t, os.Chmod(filepath.Join(w.Dir, "home", "docker-credential-bases"), 0o755))
	t.Setenv("PATH", filepath.Join(w.Dir, "home")+string(os.PathListSeparator)+os.Getenv("PATH"))
	writeCredentials(t, w, helped, basic, token, secure)

	bases := map[string]string{}
	var targets []string
	pulled := func(name string, p *proxy, more ...string) {
		bases[name] = attributes(p.host(), "locked", push(t, registry, "locked", makeImage(t, "linux/amd64", fresh(name))), more...)
		targets = append(targets, "//:on_"+name, "//:layers_of_"+name)
	}
	pulled("basic", basic, eager)
	pulled("lazy_basic", basic, lazy)
	pulled("token", token, eager)
	pulled("lazy_token", token, lazy)
	pulled("tls", secure, eager)
	pulled("lazy_tls", secure, lazy)
	pulled("helper", helped, eager)
	pulled("lazy_helper", helped, lazy)
	pulled("bazel_basic", basic, eager, byBazel)
	pulled("bazel_token", token, eager, byBazel)
	pulled("bazel_helper", helped, eager, byBazel)
	w.pulls(bases)
	w.Bazel("build", append(targets, "--action_env=REGISTRY_AUTH_FILE", "--action_env=SSL_CERT_FILE", "--action_env=PATH")...)

	w.WriteFile("home/config.json", "{}")
	unknown := push(t, registry, "locked", makeImage(t, "linux/amd64", fresh("unknown")))
	w.pulls(map[string]string{"unknown": attributes(basic.host(), "locked", unknown), "bazel_unknown": attributes(basic.host(), "locked", unknown, byBazel)})
	for _, target := range []string{"//:on_unknown", "//:on_bazel_unknown"} {
		wantIn(t, w.Fails("build", target), "answers 401", "run docker login "+basic.host())
	}
}

// writeCredentials writes a Docker config with the password for some registries, and a helper for one.
func writeCredentials(t *testing.T, w workspace, helped *proxy, others ...*proxy) {
	t.Helper()
	auths := map[string]any{}
	for _, p := range others {
		auths[p.host()] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	}
	config, err := json.Marshal(map[string]any{"auths": auths, "credHelpers": map[string]string{helped.host(): "bases"}})
	bazeltest.Must(t, err)
	w.WriteFile("home/config.json", string(config))
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(w.Dir, "home", "config.json"))
}
