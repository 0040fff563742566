// Package e2e_test sees the project from outside: a real Bazel builds a consumer's workspace, pushes to the project's
// registry, and a client that is not ours looks at the result.
package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

func TestBuildAndPushForTwoPlatforms(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	base := pushBase(t, registry)
	w := newWorkspace(t, "consumer", registry, base)

	out := w.Bazel("run", "//:push", "--", "--registry", registry, "-t", "extra")
	lines := strings.Fields(out)
	repo := registry + "/team/app"
	if len(lines) != 4 || !strings.HasPrefix(lines[0], repo+"@sha256:") {
		t.Fatalf("push printed %q: want the reference by digest and three tags", out)
	}
	if d := cmp.Diff([]string{repo + ":latest", repo + ":v1", repo + ":extra"}, lines[1:]); d != "" {
		t.Errorf("tags (-want +got):\n%s", d)
	}
	index := pullIndex(t, lines[0])
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Errorf("the pushed index is not valid: %v", err)
	}
	checkPlatforms(t, index)
	checkImage(t, index)
}

// checkPlatforms looks for each platform once, in the order of the BUILD file.
func checkPlatforms(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range m.Manifests {
		got = append(got, d.Platform.String())
	}
	if d := cmp.Diff([]string{"linux/arm64", "linux/amd64"}, got); d != "" {
		t.Errorf("platforms (-want +got):\n%s", d)
	}
}

func checkImage(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	m, _ := index.IndexManifest()
	image, err := index.Image(m.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"PATH=/bin", "MODE=test"}, config.Config.Env); d != "" {
		t.Errorf("env (-want +got):\n%s", d)
	}
	if config.Config.Labels["team"] != "e2e" || config.Architecture != "amd64" || len(config.History) != 3 {
		t.Errorf("config is %+v", config)
	}
	bazeltest.Golden(t, "image.txt", listing(t, image))
}

func pullIndex(t *testing.T, reference string) v1.ImageIndex {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestSecondPushMovesNothing(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	first := w.Bazel("run", "//:push", "--", "--registry", registry)
	if second := w.Bazel("run", "//:push", "--", "--registry", registry); second != first {
		t.Errorf("the second push printed %q, the first %q", second, first)
	}
	if !strings.Contains(w.Stderr, "1 there already") {
		t.Errorf("the second push says:\n%s", w.Stderr)
	}
}

func TestABaseWithoutThePlatformFailsAtAnalysis(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	w.Fails("build", "--nobuild", "//:no_base")
	for _, want := range []string{"target platform (//:linux_s390x)", "one of linux/amd64, linux/arm64"} {
		if !strings.Contains(w.Stderr, want) {
			t.Errorf("the error does not say %q:\n%s", want, w.Stderr)
		}
	}
}

func TestALayoutWithoutItsLayersSaysWhatHelps(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	said := w.Fails("build", "//:images", "--output_groups=oci_layout")
	for _, want := range []string{"//:images", `layer_handling = "shallow"`, `"eager" or "lazy"`, "shallow_oci_layout=i_know_what_i_am_doing"} {
		if !strings.Contains(said, want) {
			t.Errorf("the error does not say %q:\n%s", want, said)
		}
	}
	path := w.Build("//:images", "--output_groups=oci_layout", "--@rules_img//img/settings:shallow_oci_layout=i_know_what_i_am_doing")[0]
	if blobs, err := filepath.Glob(path + "/blobs/sha256/*"); err != nil || len(blobs) != 7 {
		t.Errorf("the layout has %d blobs, %v: want the index, a manifest and a config for each platform, and the two layers that both share", len(blobs), err)
	}
}

// TestSameDigestsEverywhere builds in ways that must not matter and compares every digest.
func TestSameDigestsEverywhere(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	base := pushBase(t, registry)
	w := newWorkspace(t, "consumer", registry, base)
	want := digests(t, w)
	ways := map[string]func() map[string]string{
		"on one CPU, unsandboxed": func() map[string]string {
			return digests(t, w.OnOneCPU(), "--spawn_strategy=local", "--action_env=ONE_CPU=1")
		},
		"with another number of compressors": func() map[string]string { return digests(t, w, "--@rules_img//img/settings:compression_jobs=7") },
		"in another workspace with another output base": func() map[string]string {
			return digests(t, newWorkspace(t, "consumer-elsewhere/deeper", registry, base).Fresh())
		},
		"with mapped paths, sandboxed": func() map[string]string {
			return digests(t, w, "--experimental_output_paths=strip", "--spawn_strategy=sandboxed")
		},
	}
	for way, digests := range ways {
		t.Run(way, func(t *testing.T) {
			if d := cmp.Diff(want, digests()); d != "" {
				t.Errorf("digests (-first +now):\n%s", d)
			}
		})
	}
}
