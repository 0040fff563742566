//go:build linux

package daemons_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestLayoutsOfOtherTools reads what other tools write.
func TestLayoutsOfOtherTools(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		source := &mem.Store{}
		root := app(t, source, "layouts", "layouts")
		podman := start(t, "podman", suite)
		load(t, dial(t, podman), daemon.Image{Root: root, Source: source, Names: names(t, "layouts")})
		at := func(name string) string { return filepath.Join(podman.dir, name) }
		podman.podman(t, "save", "--format", "oci-archive", "-o", at("podman.tar"), "layouts")
		podman.podman(t, "save", "--format", "oci-dir", "-o", at("podman"), "layouts")
		podman.run(t, "skopeo", "copy", "oci-archive:"+at("podman.tar"), "oci:"+at("skopeo")+":v1")
		podman.run(t, "umoci", "tag", "--image", at("skopeo")+":v1", "v2")
		podman.run(t, "umoci", "init", "--layout", at("umoci"))
		podman.run(t, "umoci", "new", "--image", at("umoci")+":empty")
		for name, layers := range map[string]int{"podman.tar": 3, "podman": 3, "skopeo": 3, "umoci": 0} {
			wantLayout(t, at(name), layers)
		}
		containerd := start(t, "containerd", suite)
		index := blobtest.Index(t, source, root, image(t, source, other, gzipped(t, file{"x", 0o644, []byte("layouts")})))
		load(t, dial(t, containerd), daemon.Image{Root: index, Source: source, Names: names(t, "layouts"), Platforms: daemon.Platforms{All: true}})
		exported := filepath.Join(containerd.dir, "ctr.tar")
		containerd.ctr(t, "default", "images", "export", "--all-platforms", exported, "docker.io/library/layouts:latest")
		wantLayout(t, exported, 3, 1)
	})
	t.Run("docker save", func(t *testing.T) {
		for _, kind := range []string{"docker-overlay2", "docker-containerd"} { // since 25 an OCI layout
			d := start(t, kind, "forky")
			source := &mem.Store{}
			load(t, dial(t, d), daemon.Image{Root: app(t, source, "saved", "saved"), Source: source, Names: names(t, "saved")})
			saved := filepath.Join(d.dir, "saved.tar")
			d.docker(t, "save", "-o", saved, "saved")
			wantLayout(t, saved, 3)
		}
	})
}

// wantLayout fails t unless the layout is whole, with images of so many layers.
func wantLayout(t *testing.T, path string, layers ...int) {
	t.Helper()
	l, err := layout.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Close()
	root, err := l.Root()
	if err != nil {
		t.Error(err)
		return
	}
	copied := &mem.Store{}
	if _, err := blob.Copy(t.Context(), copied, blob.Verify("layout", l), blob.CopyOptions{}, root); err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	manifests, err := l.Manifests(t.Context())
	if err != nil || len(manifests) != len(layers) {
		t.Errorf("%s: has %d manifests, %v; want %d", path, len(manifests), err, len(layers))
		return
	}
	for i, d := range manifests {
		parts, err := daemon.Read(t.Context(), copied, d)
		if err != nil || len(parts.Layers) != layers[i] || d.Platform.OS != "linux" {
			t.Errorf("%s: %s has %d layers, %v; want %d", path, oci.FormatPlatform(*d.Platform), len(parts.Layers), err, layers[i])
		}
	}
}

// TestOtherToolsReadOurLayouts hands them to skopeo, umoci and the loaders of all daemons.
func TestOtherToolsReadOurLayouts(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		source := &mem.Store{}
		im := layout.Image{Root: app(t, source, "ours", "ours"), Names: []string{"docker.io/library/ours:v1"}}
		podman := start(t, "podman", suite)
		folder, archive := filepath.Join(podman.dir, "ours"), filepath.Join(podman.dir, "ours.tar")
		if _, err := layout.WriteDirectory(t.Context(), folder, source, layout.Directory{}, im); err != nil {
			t.Fatal(err)
		}
		writeArchive(t, archive, source, im)
		for _, from := range []string{"oci:" + folder, "oci-archive:" + archive, "docker-archive:" + archive} {
			if out := podman.run(t, "skopeo", "inspect", from); !strings.Contains(out, `"Architecture": "`+own.Architecture) {
				t.Errorf("skopeo says of %s: %s", from, out)
			}
		}
		if out := podman.run(t, "umoci", "list", "--layout", folder); !strings.Contains(out, "ours") {
			t.Errorf("umoci lists %q", out)
		}
		podman.podman(t, "load", "-i", archive)
		wantRuns(t, podman, "docker.io/library/ours:v1", "ours")
		for _, kind := range []string{"docker-overlay2", "docker-containerd"} {
			if suite == "bookworm" && kind == "docker-containerd" {
				continue
			}
			d := start(t, kind, suite)
			copied := filepath.Join(d.dir, "ours.tar")
			writeArchive(t, copied, source, im)
			d.docker(t, "load", "-i", copied)
			if out := d.docker(t, "run", "--rm", "--network", "none", "ours:v1"); out != "ours" {
				t.Errorf("%s of %s: the image prints %q", kind, suite, out)
			}
		}
		containerd := start(t, "containerd", suite)
		copied := filepath.Join(containerd.dir, "ours.tar")
		writeArchive(t, copied, source, im)
		containerd.ctr(t, "ours", "images", "import", copied)
		if out := containerd.ctrRun(t, "ours", "docker.io/library/ours:v1"); out != "ours" {
			t.Errorf("containerd of %s: the image prints %q", suite, out)
		}
		if out, err := exec.Command("tar", "-tf", archive).CombinedOutput(); err != nil {
			t.Errorf("tar -t: %v: %s", err, out)
		}
	})
}

func writeArchive(t testing.TB, path string, source blob.Source, im layout.Image) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := layout.WriteArchive(t.Context(), f, source, nil, im); err != nil {
		t.Fatal(err)
	}
}
