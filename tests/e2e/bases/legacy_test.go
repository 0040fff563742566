package bases_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestWithoutBzlmod pulls, builds for two platforms and pushes in a WORKSPACE.
func TestWithoutBzlmod(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	text := fresh("base")
	amd64, arm64 := makeImage(t, "linux/amd64", text), makeImage(t, "linux/arm64", text)
	base := push(t, registry, "base", makeIndex(t, map[string]image{"linux/amd64": amd64, "linux/arm64": arm64}))
	w := newWorkspace(t, "legacy", "REGISTRY", registry, "DIGEST_BASE", base, "DIGEST_LAYER", amd64.layers[0])
	w.Flags = append(w.Flags, bazeltest.WithoutBzlmod(t)...)

	out := strings.Fields(w.Bazel("run", "//:push", "--", "--registry", registry))
	if len(out) != 2 || out[1] != registry+"/team/app:v1" {
		t.Fatalf("the push printed %q", out)
	}
	ref, err := name.ParseReference(out[0])
	bazeltest.Must(t, err)
	index, err := remote.Index(ref)
	bazeltest.Must(t, err)
	if err := validate.Index(index); err != nil {
		t.Errorf("the pushed index is not valid: %v", err)
	}
	manifest, err := index.IndexManifest()
	bazeltest.Must(t, err)
	if len(manifest.Manifests) != 2 {
		t.Errorf("the pushed index has %d manifests; want 2", len(manifest.Manifests))
	}

	layer := compressed(t, amd64)
	layers := w.contents("//:layers")
	if len(layers) != 2 || layers[0] != layer || layers[1] != layer {
		t.Errorf("there are %d layers; want the base's, eager and lazy", len(layers))
	}
	blobs := w.contents("//:blobs")
	if len(blobs) != 3 || blobs[0] != layer || !strings.Contains(blobs[1], amd64.digest) || blobs[2] != text {
		t.Errorf("the blobs are %.300q", blobs)
	}
}

// TestBlobsOfAnArtifact takes apart, with bzlmod and each of the downloaders, what is no image.
func TestBlobsOfAnArtifact(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	i := makeImage(t, "linux/amd64", fresh("artifact"))
	manifest := push(t, registry, "artifact", i)
	w := newWorkspace(t, "workspace")
	w.pulls(nil)
	blob := func(rule, name, digest string, more ...string) string {
		return fmt.Sprintf("%s(\n    name = %q,\n%s)\n\n", rule, name, attributes(registry, "artifact", digest, more...))
	}
	rule := func(name string) string {
		return fmt.Sprintf("%[1]s = use_repo_rule(\"@rules_img//img:pull_blob.bzl\", %[1]q)\n\n", name)
	}
	w.WriteFile("pulls.MODULE.bazel", rule("pull_blob_file")+rule("pull_manifest_blob")+
		blob("pull_blob_file", "blob", i.layers[0])+
		blob("pull_blob_file", "bazels_blob", i.layers[0], byBazel, `downloaded_file_path = "deep/er.tgz"`)+
		blob("pull_manifest_blob", "manifest", manifest)+
		blob("pull_manifest_blob", "bazels_manifest", manifest, byBazel)+
		blob("pull_blob_file", "absent", "sha256:"+strings.Repeat("2", 64)))
	layer := compressed(t, i)
	for target, want := range map[string]string{"@blob": layer, "@bazels_blob//file": layer} {
		if got := w.contents(target); len(got) != 1 || got[0] != want {
			t.Errorf("%s has %d files, or another blob than was pushed", target, len(got))
		}
	}
	for _, target := range []string{"@manifest", "@bazels_manifest//file"} {
		if got := w.contents(target); len(got) != 1 || !strings.Contains(got[0], i.layers[0]) {
			t.Errorf("%s is %q", target, got)
		}
	}
	wantIn(t, w.Fails("build", "@absent"), "pull sha256:222222", registry+"/artifact", "404")
}
