package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestAWorkspaceOfAnOlderVersionBuildsUnchanged builds the workspace compat, which has what users of version 0.3.7 know, with bzlmod and
// without, and carries out what it deploys.
func TestAWorkspaceOfAnOlderVersionBuildsUnchanged(t *testing.T) {
	for _, mode := range []struct {
		name    string
		flags   []string
		targets []string
	}{
		{"bzlmod", nil, []string{"//..."}},
		{"WORKSPACE", bazeltest.WithoutBzlmod(t), []string{"//:all"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			registry := bazeltest.StartRegistry(t)
			base := pushBase(t, registry)
			w := bazeltest.NewWorkspace(t, "compat", "compat-"+mode.name, "REGISTRY", registry, "BASE_DIGEST", base, "LAYER_DIGEST", layerOf(t, registry))
			w.Flags = mode.flags
			buildTool(t, filepath.Join(w.Dir, "img"))
			groups := "--output_groups=+oci_layout,+oci_tarball,+tarball,+deploy_manifest,+digest,+descriptor,+metadata"
			shallow := "--@rules_img//img/settings:shallow_oci_layout=i_know_what_i_am_doing"
			w.Bazel("build", append([]string{groups, shallow, "--"}, mode.targets...)...)
			program, archive := loader(t)
			t.Setenv("LOADER_BINARY", program)
			pushed := strings.Fields(w.Bazel("run", "//:deploy"))
			ref, err := name.ParseReference(pushed[0])
			bazeltest.Must(t, err)
			index, err := remote.Index(ref)
			bazeltest.Must(t, err)
			bazeltest.Must(t, validate.Index(index))
			if _, err := os.Stat(archive); err != nil {
				t.Errorf("nothing was loaded: %v", err)
			}
			if len(pushed) != 5 || pushed[2] != registry+"/compat/image:latest" || pushed[4] != "app:latest" {
				t.Errorf("it deployed %q", pushed)
			}
			if mode.name == "bzlmod" {
				// What is tagged defaults can't be had by other settings: layouts of layers of other types, eager deployments of what is lazy.
				w.Bazel("build", "--config=settings", "--build_tag_filters=-defaults", "//...")
			}
		})
	}
}

func buildTool(t *testing.T, path string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", path, "./cmd/img")
	build.Dir, build.Env = bazeltest.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// layerOf is the digest of the base's first layer.
func layerOf(t *testing.T, registry string) string {
	t.Helper()
	ref, err := name.ParseReference(registry + "/base:1")
	bazeltest.Must(t, err)
	image, err := remote.Image(ref)
	bazeltest.Must(t, err)
	layers, err := image.Layers()
	bazeltest.Must(t, err)
	digest, err := layers[0].Digest()
	bazeltest.Must(t, err)
	return digest.String()
}
