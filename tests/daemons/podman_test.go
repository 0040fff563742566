//go:build linux

package daemons_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/generic"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/podman"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// podmanByCommand runs the command inside the daemon's root, on the same storage as the service.
func podmanByCommand(t *testing.T, d *process) *podman.Client {
	enter, err := filepath.Abs("../../tools/daemons/enter")
	if err != nil {
		t.Fatal(err)
	}
	return podman.Command(append([]string{enter, d.root, d.dir}, d.podmanCommand(t)...)...)
}

func TestPodmanTakesWhatItLacks(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		d := start(t, "podman", suite)
		t.Run("through its socket", func(t *testing.T) {
			p := newProxy(t, d.socket())
			testIncremental(t, podman.Socket(p.path), p, "socket")
			wantRuns(t, d, "localhost/socket:two", "two")
		})
		t.Run("by its command", func(t *testing.T) {
			testIncremental(t, podmanByCommand(t, d), nil, "command")
			wantRuns(t, d, "command:again", "two")
		})
	})
}

func wantRuns(t *testing.T, d *process, name, want string) {
	t.Helper()
	if out := d.podman(t, "run", "--rm", "--network", "none", name); out != want {
		t.Errorf("%s prints %q; want %q", name, out, want)
	}
}

func TestPodmanWritesNames(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		d := start(t, "podman", suite)
		source := &mem.Store{}
		root := app(t, source, "names", "names")
		done := load(t, podman.Socket(d.socket()), daemon.Image{Root: root, Source: source,
			Names: names(t, "app", "docker.io/app:hub", "team/app:v1", "localhost:5000/app", "ghcr.io/a/b:c")})
		want := []string{"localhost/app:latest", "docker.io/library/app:hub", "localhost/team/app:v1", "localhost:5000/app:latest", "ghcr.io/a/b:c"}
		if !slices.Equal(done.Names, want) {
			t.Errorf("names are %q", done.Names)
		}
		list := strings.Fields(d.podman(t, "images", "--format", "{{.Repository}}:{{.Tag}}"))
		for _, name := range want {
			if !slices.Contains(list, name) {
				t.Errorf("podman lists %q, without %s", list, name)
			}
		}
		if got := d.podman(t, "image", "inspect", "--format", "{{.Digest}}", "app"); got != string(root.Digest) {
			t.Errorf("the image has the digest %s; want %s", got, root.Digest)
		}
	})
}

func TestPodmanTakesPlatforms(t *testing.T) {
	d := start(t, "podman", "forky")
	source := &mem.Store{}
	root := blobtest.Index(t, source, image(t, source, other, gzipped(t, file{"x", 0o644, []byte("podman")})), app(t, source, "platforms", "platforms"))
	c := podman.Socket(d.socket())
	load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms:own")})
	wantRuns(t, d, "platforms:own", "platforms")
	load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms:theirs"), Platforms: daemon.Platforms{Wanted: []oci.Platform{other}}})
	if got := d.podman(t, "image", "inspect", "--format", "{{.Architecture}}", "platforms:theirs"); got != other.Architecture {
		t.Errorf("the image is for %s", got)
	}
	if _, err := c.Load(t.Context(), daemon.Image{Root: root, Source: source, Platforms: daemon.Platforms{All: true}}); err == nil || !strings.Contains(err.Error(), "--platform") {
		t.Errorf("all platforms: %v", err)
	}
}

// TestPodmanHasALayerInAnotherCompression loads an image whose large layer Podman has, but under another digest, by
// which it does not find it.
func TestPodmanHasALayerInAnotherCompression(t *testing.T) {
	d := start(t, "podman", "forky")
	source := &mem.Store{}
	content := file{"large", 0o644, blobtest.Bytes("compression", large)}
	program := below(t, "compression")[1]
	load(t, podman.Socket(d.socket()), daemon.Image{Root: image(t, source, own, gzipped(t, content), program), Source: source, Names: names(t, "gzip")})
	root := image(t, source, own, zstandard(t, content), program, gzipped(t, file{"message", 0o644, []byte("other")}))
	done := load(t, podman.Socket(d.socket()), daemon.Image{Root: root, Source: source, Names: names(t, "zstd")})
	if len(done.Notes) != 1 || !strings.Contains(done.Notes[0], "sent all 3 layers") {
		t.Errorf("notes are %q; want one that says why everything was sent", done.Notes)
	}
	wantRuns(t, d, "zstd", "other")
}

func TestDockerThatIsPodman(t *testing.T) {
	d := start(t, "podman", "forky")
	c := dialDocker(t, d.socket())
	source := &mem.Store{}
	im := daemon.Image{Root: app(t, source, "as docker", "as docker"), Source: source, Names: names(t, "as-docker")}
	if _, err := c.Load(t.Context(), im); err == nil || !strings.Contains(err.Error(), "podman") {
		t.Errorf("error is %v; want it to say that it is Podman", err)
	}
	c.Podman = func(socket string) daemon.Daemon { return podman.Socket(socket) }
	load(t, c, im)
	wantRuns(t, d, "as-docker", "as docker")
}

// TestGenericLoaders pipes archives into the load commands of docker and podman.
func TestGenericLoaders(t *testing.T) {
	for _, kind := range []string{"docker-overlay2", "docker-containerd", "podman"} {
		t.Run(kind, func(t *testing.T) {
			d := start(t, kind, "forky")
			enter, err := filepath.Abs("../../tools/daemons/enter")
			if err != nil {
				t.Fatal(err)
			}
			client := []string{"docker", "-H", "unix://" + d.socket()}
			if kind == "podman" {
				client = d.podmanCommand(t)
			}
			loader := filepath.Join(t.TempDir(), "loader")
			script := "#!/bin/sh\nexec " + strings.Join(append([]string{enter, d.root, d.dir}, client...), " ") + " \"$@\"\n"
			if err := os.WriteFile(loader, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			source := &mem.Store{}
			root := blobtest.Index(t, source, app(t, source, "generic", "generic"), image(t, source, other, gzipped(t, file{"x", 0o644, []byte("generic")})))
			var said strings.Builder
			load(t, generic.Loader{Program: loader, Output: &said}, daemon.Image{Root: root, Source: source, Names: names(t, "generic:v1")})
			if !strings.Contains(said.String(), "generic:v1") {
				t.Errorf("the loader said %q", said.String())
			}
			if out := d.run(t, append(client, "run", "--rm", "--network", "none", "docker.io/library/generic:v1")...); out != "generic" {
				t.Errorf("the image prints %q", out)
			}
		})
	}
}

func TestGenericLoaderThatFails(t *testing.T) {
	source := &mem.Store{}
	im := daemon.Image{Root: image(t, source, own, gzipped(t, file{"large", 0o644, blobtest.Bytes("fails", large)})), Source: source}
	loader := filepath.Join(t.TempDir(), "loader")
	if err := os.WriteFile(loader, []byte("#!/bin/sh\necho no room left >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := (generic.Loader{Program: loader}).Load(t.Context(), im); err == nil || !strings.Contains(err.Error(), "no room left") {
		t.Errorf("error is %v; want what the loader said", err)
	}
	if _, err := (generic.Loader{}).Load(t.Context(), im); err == nil || !strings.Contains(err.Error(), "LOADER_BINARY") {
		t.Errorf("without a loader: %v", err)
	}
}

func podmanBySocket(d *process) daemon.Daemon { return podman.Socket(d.socket()) }
