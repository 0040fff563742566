package docker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestAnImageIsLookedAtOnce: a daemon has many, and each of many loads wants to know what layers they have.
func TestAnImageIsLookedAtOnce(t *testing.T) {
	var source mem.Store
	var mu sync.Mutex
	asked := map[string]int{}
	api := http.NewServeMux()
	answer := func(pattern string, v any) {
		api.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(v) })
	}
	answer("GET /version", map[string]string{"Version": "28.0.0", "Os": "linux", "Arch": "amd64"})
	answer("GET /info", map[string]string{"Driver": "overlay2"})
	answer("GET /images/json", []image{{ID: "sha256:one"}, {ID: "sha256:two"}})
	api.HandleFunc("GET /images/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if id != "sha256:one" && id != "sha256:two" {
			http.NotFound(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		asked[id]++
		im := image{ID: id}
		im.RootFS.Layers = []oci.Digest{oci.DigestOf([]byte(id))}
		json.NewEncoder(w).Encode(im)
	})
	server := httptest.NewServer(api)
	defer server.Close()
	host := strings.Replace(server.URL, "http://", "tcp://", 1)
	c, err := Dial(func(name string) string { return map[string]string{"DOCKER_HOST": host}[name] })
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []string{"a", "b", "c"} {
		root := blobtest.Image(t, &source, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte(layer))
		if _, err := c.Load(t.Context(), daemon.Image{Root: root, Source: &source, Dry: true}); err != nil {
			t.Fatal(err)
		}
	}
	if asked["sha256:one"] != 1 || asked["sha256:two"] != 1 {
		t.Errorf("three loads asked for the daemon's images %v times; want once each", asked)
	}
}
