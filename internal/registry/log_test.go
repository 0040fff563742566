package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// waiting is a place that answers nobody before they are gone, once it is told so.
type waiting struct {
	dir.Store
	asked chan struct{} // nil answers at once
}

func (p waiting) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if p.asked == nil {
		return p.Store.Open(ctx, d)
	}
	close(p.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// serveFrom lets do pull an image whose layer is in the place, and returns the errors in the log.
func serveFrom(t *testing.T, place waiting, do func(url string)) (lines []string) {
	t.Helper()
	root, body, config := t.TempDir(), blobtest.Bytes("layer", 100_000), []byte("{}")
	layer := blobtest.Describe(body)
	image, err := json.Marshal(oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, Config: oci.Describe(oci.MediaTypeConfig, config), Layers: []oci.Descriptor{layer}})
	if err := errors.Join(err, place.Put(t.Context(), layer, blobtest.Content(body)), place.Put(t.Context(), oci.Describe("", config), blobtest.Content(config))); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(root, noLimits, store.Named{Name: "place", Place: place})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Repository("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutManifest(t.Context(), oci.Describe(oci.MediaTypeManifest, image), image); err != nil {
		t.Fatal(err)
	}
	path, _ := place.Path(layer)
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, blobtest.Bytes("damaged", 100_000), 0o644)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	server := httptest.NewServer(registry.New(registry.Options{Store: s, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))}))
	do(server.URL + "/v2/a/blobs/" + string(layer.Digest))
	server.Close() // waits until all is logged
	return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
}

// What is wrong with a store is for the operator, also when the answer had begun.
func TestABlobThatIsDamagedIsAnErrorInTheLog(t *testing.T) {
	lines := serveFrom(t, waiting{Store: dir.Store{Root: t.TempDir()}}, func(url string) {
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if n, err := io.Copy(io.Discard, answer.Body); err == nil {
			t.Errorf("%d bytes arrive, and no error", n)
		}
	})
	if len(lines) != 1 || !strings.Contains(lines[0], "status=200") || !strings.Contains(lines[0], "place: blob sha256:") {
		t.Errorf("the log has %q", lines)
	}
}

// A client that goes away is no trouble of the registry.
func TestAClientThatGoesAwayIsNoErrorInTheLog(t *testing.T) {
	place := waiting{dir.Store{Root: t.TempDir()}, make(chan struct{})}
	lines := serveFrom(t, place, func(url string) {
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-place.asked; leave() }()
		r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
			t.Error("it is answered")
		}
	})
	if len(lines) != 1 || lines[0] != "" {
		t.Errorf("the log has %q", lines)
	}
}
