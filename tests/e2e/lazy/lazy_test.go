// Package lazy_test pushes and loads from Bazel's caches, with a real Bazel and a real remote cache, and counts the bytes that reach
// the machine that runs Bazel.
package lazy_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

const large = 8 << 20

// scene is a workspace between a remote cache and a registry, all empty.
type scene struct {
	*testing.T
	*bazeltest.Workspace
	registry   string
	cache      bazeltest.Cache
	ofBazel    *bazeltest.Proxy // between Bazel and the cache
	ofTool     *bazeltest.Proxy // between the run target and the cache
	toRegistry *bazeltest.Proxy
}

func newScene(t *testing.T, cacheFlags ...string) *scene {
	t.Helper()
	s := &scene{T: t, cache: bazeltest.StartCache(t, cacheFlags...)}
	s.toRegistry = bazeltest.StartProxy(t, bazeltest.StartRegistry(t))
	s.registry = s.toRegistry.Address
	s.ofBazel, s.ofTool = bazeltest.StartProxy(t, s.cache.GRPC), bazeltest.StartProxy(t, s.cache.GRPC)
	s.Workspace = bazeltest.NewWorkspace(t, "workspace", "lazy", "REGISTRY", s.registry)
	s.WriteFile("random.bin", string(blobtest.Bytes(t.Name(), large)))
	s.WriteFile("source.tar", sourceTar(t))
	s.Bazel("clean")
	s.Flags = []string{"--remote_cache=grpc://" + s.ofBazel.Address, "--@rules_img//img/settings:remote_cache=grpc://" + s.ofTool.Address}
	return s
}

func sourceTar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: "from-source", Mode: 0o644, Size: 4}))
	_, err := w.Write([]byte("text"))
	bazeltest.Must(t, err)
	bazeltest.Must(t, w.Close())
	return b.String()
}

// built fills the cache, and forgets all that is on this machine.
func (s *scene) built() {
	s.Helper()
	s.Bazel("build", "//...")
	s.Bazel("clean")
	s.ofBazel.Down()
}

// run runs a target whose layers stay away from this machine, and returns its stdout.
func (s *scene) run(target string, flags ...string) string {
	s.Helper()
	return s.Bazel("run", append([]string{target, "--remote_download_minimal"}, flags...)...)
}

func (s *scene) wantImage(repository string) {
	s.Helper()
	ref, err := name.ParseReference(s.registry + "/" + repository + ":v1")
	bazeltest.Must(s, err)
	image, err := remote.Image(ref)
	bazeltest.Must(s, err)
	wantWhole(s, image)
}

// wantWhole reads all of an image, whose library compares each layer with its digest.
func wantWhole(t testing.TB, image v1.Image) {
	t.Helper()
	bazeltest.Must(t, validate.Image(image, validate.Fast))
	layers, err := image.Layers()
	bazeltest.Must(t, err)
	if len(layers) != 3 {
		t.Errorf("the image has %d layers: want 3", len(layers))
	}
	for _, layer := range layers {
		r, err := layer.Compressed()
		bazeltest.Must(t, err)
		_, err = io.Copy(io.Discard, r)
		bazeltest.Must(t, err)
		bazeltest.Must(t, r.Close())
	}
}

// layer is the hash of the image's layer that is large, by the metadata that the build left.
func (s *scene) layer() string {
	s.Helper()
	path := filepath.Join(s.Dir, "bazel-bin", "push.plan.json")
	b, err := os.ReadFile(path)
	bazeltest.Must(s, err)
	var plan struct {
		Blobs []struct {
			Digest, Output string
			Size           int64
		}
	}
	bazeltest.Must(s, json.Unmarshal(b, &plan))
	for _, blob := range plan.Blobs {
		if blob.Size > large {
			return strings.TrimPrefix(blob.Digest, "sha256:")
		}
	}
	s.Fatalf("no blob of %s is large", path)
	return ""
}

func (s *scene) wantNoLayerHere() {
	s.Helper()
	if _, err := os.Stat(filepath.Join(s.Dir, "bazel-bin", "large.tgz")); err == nil {
		s.Error("the layer is in the output tree")
	}
}

func TestAPushMovesBytesFromTheCacheToTheRegistryAlone(t *testing.T) {
	for _, mode := range []string{"--remote_download_minimal", "--remote_download_toplevel"} {
		t.Run(mode, func(t *testing.T) {
			s := newScene(t)
			s.built()
			s.Bazel("run", "//:push", mode)
			s.wantNoLayerHere()
			if n := s.ofBazel.Down(); n > large/8 {
				t.Errorf("Bazel downloaded %d bytes", n)
			}
			if n := s.ofTool.Down(); n < large || n > large+large/8 {
				t.Errorf("the push downloaded %d bytes: want the layer of %d once", n, large)
			}
			s.wantImage("lazy/app")
			s.toRegistry.Up()
			s.Bazel("run", "//:push", mode)
			if n := s.ofTool.Down(); n != 0 {
				t.Errorf("a second push downloaded %d bytes: want it not even to connect", n)
			}
			if n := s.toRegistry.Up(); n > 4096 {
				t.Errorf("a second push sent %d bytes", n)
			}
			if !strings.Contains(s.Stderr, "nothing sent") {
				t.Errorf("a second push says:\n%s", s.Stderr)
			}
		})
	}
}

func TestEagerPushesBecomeLazyInADeployment(t *testing.T) {
	s := newScene(t)
	s.built()
	s.run("//:deploy")
	s.wantNoLayerHere()
	if n := s.ofBazel.Down(); n > large/8 {
		t.Errorf("Bazel downloaded %d bytes", n)
	}
	s.wantImage("eager/app")
}

func TestALoadTakesLayersFromTheCache(t *testing.T) {
	s := newScene(t)
	s.built()
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "loader"), filepath.Join(dir, "archive.tar")
	bazeltest.Must(t, os.WriteFile(program, []byte(fmt.Sprintf("#!/bin/sh\n[ \"$1\" = load ] && exec cat >%s\n", archive)), 0o755))
	t.Setenv("LOADER_BINARY", program)
	s.run("//:load")
	s.wantNoLayerHere()
	ref, err := name.NewTag("lazy:v1")
	bazeltest.Must(t, err)
	image, err := tarball.ImageFromPath(archive, &ref)
	bazeltest.Must(t, err)
	wantWhole(t, image)
}

func TestLayersThatWereNotUploadedAreFoundInTheOutputTree(t *testing.T) {
	s := newScene(t)
	for way, flags := range map[string][]string{
		"as it is":          nil,
		"with mapped paths": {"--experimental_output_paths=strip", "--@rules_img//img/settings:compression_jobs=2"},
	} {
		t.Run(way, func(t *testing.T) {
			s.ofTool.Down()
			s.run("//:push", append([]string{"--noremote_upload_local_results"}, flags...)...)
			if n := s.ofTool.Down(); n != 0 {
				t.Errorf("the push downloaded %d bytes", n)
			}
		})
		s.wantImage("lazy/app")
		s.WriteFile("random.bin", string(blobtest.Bytes("another", large)))
	}
}

func TestLayersAreFoundWithoutBazelRun(t *testing.T) {
	s := newScene(t)
	s.Flags = nil
	s.Bazel("build", "//:push")
	cmd := exec.Command(filepath.Join(s.Dir, "bazel-bin", "push"))
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "from output tree") {
		t.Errorf("%v\n%s", err, out)
	}
	s.wantImage("lazy/app")
}

func TestLayersAreFoundInTheDiskCache(t *testing.T) {
	for _, function := range []string{"sha256", "blake3"} {
		t.Run(function, func(t *testing.T) {
			s := newScene(t)
			disk := t.TempDir()
			s.Startup = []string{"--digest_function=" + function}
			s.Flags = []string{"--disk_cache=" + disk, "--@rules_img//img/settings:disk_cache=" + disk, "--@rules_img//img/settings:digest_function=" + function}
			s.built()
			for target, repository := range map[string]string{"//:push": "lazy/app", "//:push_others": "lazy/others"} {
				s.run(target)
				s.wantNoLayerHere()
				if !strings.Contains(s.Stderr, "from disk cache") {
					t.Errorf("the push says:\n%s", s.Stderr)
				}
				s.wantImage(repository)
			}
		})
	}
}

func TestALayerThatWasEvictedIsNamedWithWhatToDo(t *testing.T) {
	s := newScene(t)
	s.built()
	s.Bazel("build", "//:push", "--remote_download_toplevel")
	s.cache.Evict(t, s.layer())
	message := s.Fails("run", "//:push", "--remote_download_toplevel")
	for _, want := range []string{
		"bin/large.tgz", "sha256:" + s.layer(),
		"source output tree:", "source remote cache: grpc://" + s.ofTool.Address + ": blob sha256:",
		"hint: the cache may have dropped the layer since the build: bazel build --remote_download_outputs=all //:push ",
	} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q:\n%s", want, message)
		}
	}
	s.Bazel("build", "//:push", "--remote_download_outputs=all")
	s.Bazel("run", "//:push", "--remote_download_toplevel")
	s.wantImage("lazy/app")
}

func TestWithoutACacheThePushSaysHowToNameOne(t *testing.T) {
	s := newScene(t)
	s.built()
	s.Flags = s.Flags[:1]
	message := s.Fails("run", "//:push", "--remote_download_minimal")
	if !strings.Contains(message, "hint: no remote cache is known: set --@rules_img//img/settings:remote_cache") {
		t.Errorf("the message is:\n%s", message)
	}
	t.Setenv("IMG_REAPI_ENDPOINT", "grpc://"+s.ofTool.Address)
	s.run("//:push")
	s.wantImage("lazy/app")
}

func TestACredentialHelperOfTheWorkspaceIsAskedByBazelAndThePush(t *testing.T) {
	users := filepath.Join(t.TempDir(), "htpasswd")
	bazeltest.Must(t, os.WriteFile(users, []byte("user:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\n"), 0o600)) // pass
	s := newScene(t, "--htpasswd_file", users)
	// The cache is on this machine, and other helpers are for other hosts.
	const helper = "127.0.0.1=%workspace%/helper.sh,*.example.com=%workspace%/none.sh"
	s.WriteFile("helper.sh", `#!/bin/sh
[ "$1" = get ] && echo '{"headers": {"Authorization": ["Basic dXNlcjpwYXNz"]}}'
`)
	bazeltest.Must(t, os.Chmod(filepath.Join(s.Dir, "helper.sh"), 0o755))
	s.Flags = append(s.Flags, "--credential_helper=%workspace%/helper.sh")
	s.built()
	message := s.Fails("run", "//:push", "--remote_download_minimal")
	if !strings.Contains(message, "hint: the remote cache wants credentials") {
		t.Errorf("without credentials, the message is:\n%s", message)
	}
	s.run("//:push", "--@rules_img//img/settings:credential_helper="+helper)
	s.wantNoLayerHere()
	s.wantImage("lazy/app")
}
