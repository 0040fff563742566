package podman

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestAnImageIsLookedAtOnce: Podman has many, and each of many loads wants to know what layers they have.
func TestAnImageIsLookedAtOnce(t *testing.T) {
	dir, err := os.MkdirTemp("", "podman-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	one := image{ID: "one", Digest: "sha256:1"}
	one.RootFS.Layers = []oci.Digest{oci.DigestOf(nil)}
	two := image{ID: "two"}
	var mu sync.Mutex
	var there []image
	asked := map[string]int{}
	api := http.NewServeMux()
	api.HandleFunc("GET /v4.0.0/libpod/images/json", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(there) })
	api.HandleFunc("GET /v4.0.0/libpod/images/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.PathValue("id")]++
		switch r.PathValue("id") {
		case "one":
			json.NewEncoder(w).Encode(one)
		case "two":
			json.NewEncoder(w).Encode(two)
		default:
			http.NotFound(w, r)
		}
	})
	server := &http.Server{Handler: api}
	go server.Serve(l)
	defer server.Close()

	podman := Socket(l.Addr().String()).podman
	for _, row := range []struct{ there, want []image }{
		{[]image{{ID: "one"}, {ID: "gone"}}, []image{one, {ID: "gone"}}},
		{[]image{{ID: "two"}, {ID: "one"}}, []image{two, one}},
		{[]image{{ID: "two"}}, []image{two}},
	} {
		there = row.there
		got, err := podman.images(t.Context())
		if d := cmp.Diff(row.want, got); d != "" || err != nil {
			t.Errorf("images: %v (-want +got):\n%s", err, d)
		}
	}
	if asked["one"] != 1 || asked["two"] != 1 {
		t.Errorf("asked for images %v times; want once each", asked)
	}
}
