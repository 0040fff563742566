// Package casregistry_test pushes images to a registry that serves from Bazel's remote cache, with a real Bazel and a real cache, and counts
// what leaves the machine that runs Bazel.
package casregistry_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

const (
	large = 8 << 20 // bytes of the layer that the build makes, and of the base's
	few   = 16 << 10
)

// scene is a workspace with a remote cache, a registry that serves from it, and the registry of the base.
type scene struct {
	*testing.T
	*bazeltest.Workspace
	cache      bazeltest.Cache
	registry   *bazeltest.RegistryServer
	toRegistry *bazeltest.Proxy // between the push and the registry
	toCommit   *bazeltest.Proxy // and its other service
	ofTool     *bazeltest.Proxy // between the push and the cache
	baseLayer  string           // hash
}

func newScene(t *testing.T) *scene {
	t.Helper()
	cache := bazeltest.StartCache(t)
	return newSceneOver(t, cache, cache.GRPC)
}

// newSceneOver makes a scene whose cache is at the endpoint.
func newSceneOver(t *testing.T, cache bazeltest.Cache, endpoint string, flags ...string) *scene {
	t.Helper()
	s := &scene{T: t, cache: cache}
	upstream := bazeltest.StartRegistry(t)
	digest := s.pushBase(upstream)
	s.registry = bazeltest.RunRegistry(t, "--blob-store", "reapi", "--blob-store", "upstream", "--blob-store", "dir",
		"--reapi-endpoint", endpoint, "--upstream-url", "http://"+upstream, "--enable-blobcache")
	s.toRegistry, s.toCommit = bazeltest.StartProxy(t, s.registry.Host), bazeltest.StartProxy(t, s.registry.BlobCache)
	s.ofTool = bazeltest.StartProxy(t, endpoint)
	s.Workspace = bazeltest.NewWorkspace(t, "workspace", "casregistry", "REGISTRY", s.toRegistry.Address, "UPSTREAM", upstream, "DIGEST", digest)
	s.WriteFile("random.bin", string(blobtest.Bytes(t.Name(), large)))
	s.Startup = flags
	s.Bazel("clean")
	s.Flags = []string{"--remote_cache=" + endpoint, "--@rules_img//img/settings:remote_cache=grpc://" + s.ofTool.Address}
	return s
}

// pushBase pushes an image of one large layer and returns its digest.
func (s *scene) pushBase(registry string) string {
	s.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return archive(blobtest.Bytes("base of "+s.Name(), large)) })
	bazeltest.Must(s, err)
	image, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), mutate.Addendum{Layer: layer, MediaType: types.OCILayer})
	bazeltest.Must(s, err)
	file, err := image.ConfigFile()
	bazeltest.Must(s, err)
	file.OS, file.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, file)
	bazeltest.Must(s, err)
	ref, err := name.ParseReference(registry + "/team/base:v1")
	bazeltest.Must(s, err)
	bazeltest.Must(s, remote.Write(ref, image))
	digest, err := image.Digest()
	bazeltest.Must(s, err)
	hash, err := layer.Digest()
	bazeltest.Must(s, err)
	s.baseLayer = hash.Hex
	return digest.String()
}

// archive is a tar of one file.
func archive(content []byte) (io.ReadCloser, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "base", Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	return io.NopCloser(&b), errors.Join(err, w.Close())
}

// built fills the cache, and forgets all that is on this machine.
func (s *scene) built() {
	s.Helper()
	s.Bazel("build", "//...", "--remote_download_minimal")
	s.Bazel("clean")
	s.reset()
}

func (s *scene) reset() {
	s.toRegistry.Up()
	s.toCommit.Up()
	s.ofTool.Down()
}

// run runs a target whose layers stay away from this machine, with the registry told what is in the cache.
func (s *scene) run(target string, flags ...string) {
	s.Helper()
	s.Setenv("IMG_BLOB_CACHE_ENDPOINT", "grpc://"+s.toCommit.Address)
	s.Bazel("run", append([]string{target, "--remote_download_minimal"}, flags...)...)
}

// wantOnlyManifestsSent looks at what a push moved, and at what the registry has in its own directory.
func (s *scene) wantOnlyManifestsSent() {
	s.Helper()
	up := s.toRegistry.Up() + s.toCommit.Up()
	if up == 0 || up > few {
		s.Errorf("the push sent %d bytes: want those of manifests", up)
	}
	if n := s.ofTool.Down(); n != 0 {
		s.Errorf("the push downloaded %d bytes: want it not even to connect", n)
	}
	s.Logf("the push sent %d bytes of an image of %d", up, 2*large)
	for hash, body := range s.registry.Blobs() {
		if !isManifest(body) {
			s.Errorf("the registry has %s in its directory, of %d bytes, which is no manifest", hash, len(body))
		}
	}
}

func isManifest(body []byte) bool {
	var m struct{ SchemaVersion int }
	return json.Unmarshal(body, &m) == nil && m.SchemaVersion == 2
}

// wantImage has another program pull all of the image.
func (s *scene) wantImage(host, reference string) {
	s.Helper()
	out, err := exec.Command(bazeltest.Tool(s, "crane"), "validate", "--remote", host+"/"+reference).CombinedOutput()
	if err != nil {
		s.Errorf("crane validate %s: %v\n%s\n%s", reference, err, out, s.registry.Log())
	}
	archive := filepath.Join(s.TempDir(), "image.tar")
	if out, err = exec.Command(bazeltest.Tool(s, "crane"), "pull", host+"/"+reference, archive).CombinedOutput(); err != nil {
		s.Errorf("crane pull %s: %v\n%s", reference, err, out)
	}
	if info, err := os.Stat(archive); err != nil || info.Size() < 2*large {
		s.Errorf("crane pull %s: has less than the layers: %v", reference, err)
	}
}

// layer is the hash of the layer that the build makes.
func (s *scene) layer(reference string) string {
	s.Helper()
	ref, err := name.ParseReference(s.registry.Host + "/" + reference)
	bazeltest.Must(s, err)
	image, err := remote.Image(ref)
	bazeltest.Must(s, err)
	layers, err := image.Layers()
	bazeltest.Must(s, err)
	if len(layers) != 2 {
		s.Fatalf("the image has %d layers: want the base's and ours", len(layers))
	}
	hash, err := layers[1].Digest()
	bazeltest.Must(s, err)
	return hash.Hex
}

func TestAPushMovesManifestsAlone(t *testing.T) {
	s := newScene(t)
	s.built()
	s.run("//:push")
	s.wantOnlyManifestsSent()
	if s.cache.Has(t, s.baseLayer) {
		t.Error("the base's layer is in the cache: this test shows nothing of upstreams")
	}
	s.wantImage(s.registry.Host, "team/app:v1")

	s.registry.KillAndRestart()
	s.wantImage(s.registry.Host, "team/app:v1")

	s.reset()
	s.run("//:push")
	if n := s.toCommit.Up(); n != 0 || !strings.Contains(s.Stderr, "nothing sent") {
		t.Errorf("a second push tells the registry of blobs again, in %d bytes, and says\n%s", n, s.Stderr)
	}

	s.run("//:deploy")
	s.wantOnlyManifestsSent()
	s.wantImage(s.registry.Host, "team/plain:v1")

	s.run("//:plain", "--@rules_img//img/settings:push_strategy=cas_registry", "--", "--tag", "v2")
	s.wantOnlyManifestsSent()
	s.wantImage(s.registry.Host, "team/plain:v2")

	s.cache.Evict(t, s.layer("team/app:v1"))
	s.wantGone("team/app", s.layer("team/app:v1"))
	s.Bazel("clean")
	s.Bazel("build", "//...", "--remote_download_minimal") // makes the same bytes again
	s.wantImage(s.registry.Host, "team/app:v1")
}

// wantGone asks for a blob that was evicted from the cache.
func (s *scene) wantGone(repository, hash string) {
	s.Helper()
	resp, err := http.Get("http://" + s.registry.Host + "/v2/" + repository + "/blobs/sha256:" + hash)
	bazeltest.Must(s, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	bazeltest.Must(s, err)
	var answer struct{ Errors []struct{ Code string } }
	if json.Unmarshal(body, &answer) != nil || resp.StatusCode != http.StatusNotFound || len(answer.Errors) != 1 || answer.Errors[0].Code != "BLOB_UNKNOWN" {
		s.Errorf("a blob that was evicted is answered with %s: %s", resp.Status, body)
	}
	line := s.logged("GET /v2/" + repository + "/blobs/sha256:" + hash + `" status=404`)
	for _, want := range []string{"source reapi: grpc://", "source upstream: ", "source dir: "} {
		if !strings.Contains(line, want) {
			s.Errorf("the log does not say %q: %s", want, line)
		}
	}
}

// logged waits for a line of the registry's log, which comes after the answer.
func (s *scene) logged(text string) string {
	for range 1000 {
		for line := range strings.Lines(s.registry.Log()) {
			if strings.Contains(line, text) {
				return line
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatalf("no line of the log has %q\n%s", text, s.registry.Log())
	return ""
}

// Nobody tells the registry anything but the manifest, from which it knows what to look for in the cache. It does not know where the base is
// from: that layer comes from the machine that pushes.
func TestAPushWithoutTheService(t *testing.T) {
	s := newScene(t)
	s.built()
	s.Bazel("run", "//:push", "--remote_download_minimal")
	if n := s.toRegistry.Up(); n < large || n > large+few {
		t.Errorf("the push sent %d bytes: want the base's layer of %d", n, large)
	}
	if n := s.ofTool.Down(); n > few {
		t.Errorf("the push downloaded %d bytes from the cache: want it to be asked for the base's layer at most", n)
	}
	blobs := s.registry.Blobs()
	if _, ok := blobs[s.baseLayer]; !ok {
		t.Error("the base's layer is not in the registry's directory")
	}
	s.wantImage(s.registry.Host, "team/app:v1")
	if _, ok := blobs[s.layer("team/app:v1")]; ok {
		t.Error("the layer that is in the cache is in the registry's directory too")
	}
}

func TestACacheWithBLAKE3Digests(t *testing.T) {
	s := newSceneOver(t, bazeltest.Cache{}, "grpc://"+startRexd(t), "--digest_function=blake3")
	s.Flags = append(s.Flags, "--@rules_img//img/settings:digest_function=blake3")
	s.built()
	s.run("//:push")
	s.wantOnlyManifestsSent()
	s.registry.KillAndRestart()
	s.wantImage(s.registry.Host, "team/app:v1")
}

// startRexd runs a cache that knows BLAKE3, which bazel-remote does not.
func startRexd(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "rexd")
	build := exec.Command("go", "build", "-o", binary, "./tools/rexd")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	server := exec.Command(binary, "--dir", t.TempDir())
	out, err := server.StdoutPipe()
	bazeltest.Must(t, err)
	bazeltest.Must(t, server.Start())
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	bazeltest.Must(t, err)
	go io.Copy(io.Discard, out)
	return strings.TrimSpace(line)
}

// A registry over a bucket takes from the push what is not in the bucket, and puts it there. Another one, that has the bucket and nothing
// else, needs the manifests alone.
func TestABucket(t *testing.T) {
	s := newScene(t)
	s.built()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	flags := []string{"--blob-store", "s3", "--s3-bucket", "images", "--s3-region", "us-east-1", "--s3-endpoint", bazeltest.StartBucket(t, "images"), "--enable-blobcache"}
	first := bazeltest.RunRegistry(t, flags...)
	s.Setenv("IMG_BLOB_CACHE_ENDPOINT", "grpc://"+first.BlobCache)
	s.Bazel("run", "//:push", "--remote_download_minimal", "--", "--registry", first.Host)
	s.wantImage(first.Host, "team/app:v1")
	first.KillAndRestart()
	s.wantImage(first.Host, "team/app:v1")
	for hash, body := range first.Blobs() {
		if !isManifest(body) {
			t.Errorf("the registry has %s in its directory, which is no manifest", hash)
		}
	}

	second := bazeltest.RunRegistry(t, flags...)
	up := bazeltest.StartProxy(t, second.Host)
	s.Setenv("IMG_BLOB_CACHE_ENDPOINT", "grpc://"+second.BlobCache)
	s.Bazel("run", "//:push", "--remote_download_minimal", "--", "--registry", up.Address)
	if n := up.Up(); n == 0 || n > few {
		t.Errorf("the push to the second registry sent %d bytes: want those of manifests", n)
	}
	s.wantImage(second.Host, "team/app:v1")
}
