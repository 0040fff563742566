package remote_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func TestDistributionIsAStore(t *testing.T) {
	registry := remotetest.Distribution(t)
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return newRepository(t, registry) })
}

func TestOlaregIsAStore(t *testing.T) {
	registry := remotetest.Olareg(t)
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return newRepository(t, registry) })
}

// go-containerregistry's registry has one set of blobs for all repositories, so each test needs one.
func TestInMemoryRegistryIsAStore(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return newRepository(t, remotetest.InMemory(t)) })
}

func TestOurRegistryIsAStore(t *testing.T) {
	registry := ours(t)
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return newRepository(t, registry) })
}

// ours runs this project's registry and returns its host:port.
func ours(t testing.TB) string {
	s, err := store.Open(t.TempDir(), store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Options{Store: s}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// startRegistries are the registries that tests of more than one run.
var startRegistries = map[string]func(testing.TB) string{
	"distribution": remotetest.Distribution, "olareg": remotetest.Olareg, "ours": ours,
}

var count atomic.Int64

// newRepository is an empty repository, of a client that knows nothing yet.
func newRepository(t testing.TB, registry string) *remote.Repository {
	t.Helper()
	return open(t, remote.New(remote.Options{}), registry, fmt.Sprintf("test/r%d", count.Add(1)))
}

func open(t testing.TB, c *remote.Client, registry, name string) *remote.Repository {
	t.Helper()
	r, err := c.Repository(reference(registry, name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reference(registry, name string) oci.Reference {
	return oci.Reference{Registry: registry, Repository: name}
}
