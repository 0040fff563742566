package registry_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// noLimits are those of most tests.
var noLimits store.Limits

// open opens a store that closes with the test.
func open(t testing.TB, root string, limits store.Limits) *store.Store {
	t.Helper()
	s, err := store.Open(root, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve serves a store and returns its host and port.
func serve(t testing.TB, o registry.Options) string {
	t.Helper()
	server := httptest.NewServer(registry.New(o))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func reference(t testing.TB, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestAnImageSurvivesARestart(t *testing.T) {
	root := t.TempDir()
	image, err := random.Image(100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	first := serve(t, registry.Options{Store: open(t, root, store.Limits{})})
	if err := remote.Write(reference(t, first+"/team/app:v1"), image); err != nil {
		t.Fatal(err)
	}
	second := serve(t, registry.Options{Store: open(t, root, store.Limits{})})
	got, err := remote.Image(reference(t, second+"/team/app:v1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}

func TestAnIndexIsPulledAsItWasPushed(t *testing.T) {
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), store.Limits{})})
	index, err := random.Index(10_000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference(t, host+"/team/index:v1"), index); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(reference(t, host+"/team/index:v1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(got); err != nil {
		t.Error(err)
	}
}
