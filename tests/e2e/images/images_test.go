// Package images_test builds images of every kind with a real Bazel and looks at them with code that is not ours.
package images_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// isValid lets img check what Bazel built, where Bazel left it.
func isValid(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("go", "run", "-buildvcs=false", "./cmd/img", "validate", path)
	cmd.Dir = bazeltest.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), ": valid (") {
		t.Errorf("img validate %s: %v\n%s", path, err, out)
	}
}

func TestLayoutsAreValidForOthers(t *testing.T) {
	w := newWorkspace(t)
	path := w.Build("//:images", "--output_groups=oci_layout")[0]
	index, err := layout.ImageIndexFromPath(path)
	bazeltest.Must(t, err)
	bazeltest.Must(t, validate.Index(index))
	isValid(t, path)
	m, err := index.IndexManifest()
	bazeltest.Must(t, err)
	if len(m.Manifests) != 1 || !m.Manifests[0].MediaType.IsIndex() {
		t.Fatalf("index.json names %+v: want the index itself", m.Manifests)
	}
	digest, err := os.ReadFile(w.Build("//:images", "--output_groups=digest")[0])
	bazeltest.Must(t, err)
	if string(digest) != m.Manifests[0].Digest.String() {
		t.Errorf("the layout holds %s, the digest file says %s", m.Manifests[0].Digest, digest)
	}
	inner, err := index.ImageIndex(m.Manifests[0].Digest)
	bazeltest.Must(t, err)
	im, err := inner.IndexManifest()
	bazeltest.Must(t, err)
	if im.Annotations["first"] != "arm64" || len(im.Manifests) != 2 {
		t.Errorf("the index is %+v: want two manifests, and the first's architecture as an annotation", im)
	}
}

func TestArchivesAreValidForOthers(t *testing.T) {
	w := newWorkspace(t)
	archive := w.Build("//:load", "--output_groups=tarball")[0]
	isValid(t, archive)
	for _, tag := range []string{"app:v1", "registry.example:5000/team/app:latest"} {
		ref, err := name.NewTag(tag)
		bazeltest.Must(t, err)
		image, err := tarball.ImageFromPath(archive, &ref)
		bazeltest.Must(t, err)
		bazeltest.Must(t, validate.Image(image))
		config, err := image.ConfigFile()
		bazeltest.Must(t, err)
		if config.Architecture != "amd64" {
			t.Errorf("the archive has the image for %s: want that for amd64", config.Architecture)
		}
	}
}

func TestTemplatesSeeSettingsBaseAndStatus(t *testing.T) {
	w := newWorkspace(t)
	stamp := []string{"--stamp", "--workspace_status_command=" + filepath.Join(w.Dir, "status.sh"), "--//:debug"}
	manifest, config := w.image("//:templates", stamp...)
	if d := cmp.Diff(map[string]string{"channel": "beta", "from.file": "beta", "plain": "1"}, manifest.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"PATH=/opt:/bin", "MODE=debug"}, config.Config.Env); d != "" {
		t.Errorf("env (-want +got):\n%s", d)
	}
	parent := w.Build("//:parent", "--output_groups=digest")[0]
	digest, err := os.ReadFile(parent)
	bazeltest.Must(t, err)
	if d := cmp.Diff(map[string]string{"Team": "a", "team": "a", "digest": string(digest), "version": "1.2.3", "built": "7", "features": "a+b", "layers": "0", "retries": "3"}, config.Config.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}

	_, config = w.image("//:templates", "--//:retries=5", "--//:features=c")
	if config.Config.Labels["version"] != "unstamped" || config.Config.Labels["retries"] != "5" || config.Config.Labels["features"] != "c" || config.Config.Env[1] != "MODE=release" {
		t.Errorf("without --stamp, config is %+v", config.Config)
	}
}

func TestTemplatesOfPushesAndLoads(t *testing.T) {
	w := newWorkspace(t)
	type operation struct {
		Registry string
		Tags     []string
	}
	check := func(want []operation, flags ...string) {
		t.Helper()
		var plan struct{ Operations []operation }
		b, err := os.ReadFile(w.Build(append([]string{"//:deploy", "--output_groups=deploy_manifest"}, flags...)...)[0])
		bazeltest.Must(t, err)
		bazeltest.Must(t, json.Unmarshal(b, &plan))
		if d := cmp.Diff(want, plan.Operations); d != "" {
			t.Errorf("operations (-want +got):\n%s", d)
		}
	}
	check([]operation{
		{"nightly.registry.example", []string{"nightly", "from-file"}},
		{"", []string{"nightly/arm64:dev"}},
	}, "--//:channel=nightly")
	check([]operation{
		{"beta.registry.example", []string{"beta", "v1.2.3", "from-file"}},
		{"", []string{"beta/arm64:1.2.3"}},
	}, "--stamp", "--workspace_status_command="+filepath.Join(w.Dir, "status.sh"))
}

func TestAStampThatChangesRebuildsNoLayer(t *testing.T) {
	w := newWorkspace(t)
	flags := []string{"//:push", "--stamp", "--workspace_status_command=" + filepath.Join(w.Dir, "status.sh")}
	w.Bazel("build", append(flags, "--output_groups=+deploy_manifest")...)
	w.WriteFile("status.txt", "STABLE_VERSION 1.2.4\n")
	run := w.executed(flags...)
	for _, mnemonic := range []string{"ImgPlan", "ImgManifest"} {
		if run[mnemonic] == 0 {
			t.Errorf("the new version ran %v: want %s among them", run, mnemonic)
		}
	}
	if run["ImgLayer"] > 0 {
		t.Errorf("the new version ran %v: want no layer", run)
	}
	w.Bazel("build", "//:push_plain", "--output_groups=+deploy_manifest")
	w.wantOnlyPlan("//:push_plain", "--//:channel="+time.Now().Format("v150405"))
}

// TestAStampThatChangesATagRebuildsNoManifest has a version that was never there.
func TestAStampThatChangesATagRebuildsNoManifest(t *testing.T) {
	w := newWorkspace(t)
	flags := []string{"--stamp", "--workspace_status_command=" + filepath.Join(w.Dir, "status.sh")}
	w.Bazel("build", append(flags, "//:push_stamped", "--output_groups=+deploy_manifest")...)
	w.WriteFile("status.txt", "STABLE_VERSION "+time.Now().Format("150405")+"\n")
	w.wantOnlyPlan("//:push_stamped", flags...)
}

// wantOnlyPlan builds a push of which the plan alone is not there.
func (w workspace) wantOnlyPlan(target string, flags ...string) {
	w.t.Helper()
	run := w.executed(append(flags, target, "--output_groups=+deploy_manifest")...)
	if run["ImgPlan"] != 1 || run["ImgLayer"]+run["ImgManifest"] > 0 {
		w.t.Errorf("a tag that changed ran %v: want the plan alone", run)
	}
}

// TestALayerForEveryPlatformIsMadeOnce is about layers that are the same for all platforms: with mapped paths, their actions are the same
// too, and a cache, of which there is one wherever this matters, makes the second a hit.
func TestALayerForEveryPlatformIsMadeOnce(t *testing.T) {
	w := newWorkspace(t)
	flags := []string{"//:images", "--output_groups=oci_layout", "--experimental_output_paths=strip", "--jobs=1", "--disk_cache=" + t.TempDir()}
	w.Bazel("build", flags...)
	w.WriteFile("hello.txt", "hello at "+time.Now().String()+"\n")
	if run := w.executed(flags...); run["ImgLayer"] != 1 || run["ImgManifest"] != 2 {
		t.Errorf("ran %v: want the changed layer once, and a manifest for each platform", run)
	}
}

func TestAnUnknownKeyIsAnErrorOfTheBuild(t *testing.T) {
	w := newWorkspace(t)
	attributes := map[string]string{
		"//:unknown_annotations": "annotations VERSION", "//:unknown_env": "env VERSION", "//:unknown_labels": "labels VERSION",
		"//:unknown_of_index": "annotations VERSION", "//:unknown_of_load": "tag",
		"//:unknown_registry": "registry", "//:unknown_repository": "repository", "//:unknown_tag": "tag",
	}
	said := w.Fails("build", slices.Concat([]string{"--keep_going"}, slices.Collect(maps.Keys(attributes)))...)
	for target, attribute := range attributes {
		want := regexp.MustCompile(regexp.QuoteMeta(target) + ": " + attribute + ": \".*{{\\.STABLE_VERSION}}\": there is no key STABLE_VERSION: " +
			"the keys there are (base, )?channel; Bazel's --stamp is not set")
		if !want.MatchString(said) {
			t.Errorf("the error of %s does not match %s:\n%s", target, want, said)
		}
	}
	said = w.Fails("build", "//:unknown_env", "--stamp")
	if !strings.Contains(said, "there is no key STABLE_VERSION: the keys there are BUILD_") || strings.Contains(said, "--stamp is not set") {
		t.Errorf("with --stamp, the error is:\n%s", said)
	}
}

func TestArtifacts(t *testing.T) {
	w := newWorkspace(t)
	manifest, _ := w.image("//:chart")
	if manifest.Config.MediaType != "application/vnd.cncf.helm.config.v1+json" {
		t.Errorf("the chart's config is %+v", manifest.Config)
	}
	want, err := os.ReadFile(filepath.Join(w.Dir, "chart.json"))
	bazeltest.Must(t, err)
	if got := w.files("//:chart")[".config.json"]; string(got) != string(want) {
		t.Errorf("the chart's config is %q: want the file as it is", got)
	}
	if got := w.files("//:artifact")[".config.json"]; string(got) != "{}" {
		t.Errorf("the artifact's config is %q", got)
	}
	var artifact struct{ ArtifactType string }
	bazeltest.Must(t, json.Unmarshal(w.files("//:artifact")[".manifest.json"], &artifact))
	if artifact.ArtifactType != "application/vnd.example.report" {
		t.Errorf("artifactType is %q", artifact.ArtifactType)
	}
}

func TestAFragmentIsKeptAsItIsWritten(t *testing.T) {
	w := newWorkspace(t)
	config := string(w.files("//:fragment")[".config.json"])
	for _, want := range []string{`"author":"Zoë"`, `"x-number":12345678901234567890`, `"Interval":30000000000`, `"created":"2024-01-31T12:00:00Z"`} {
		if !strings.Contains(config, want) {
			t.Errorf("config has not %s:\n%s", want, config)
		}
	}
}

func TestLayoutsOfOthersAreTakenApart(t *testing.T) {
	w := newWorkspace(t)
	one, many := w.makeLayouts()
	if got := w.digest("//:converted"); got != one {
		t.Errorf("the digest is %s: want the layout's, %s", got, one)
	}
	if got := w.digest("//:converted_index"); got != many {
		t.Errorf("the index's digest is %s: want that of the layout's own index, %s", got, many)
	}
	again, err := layout.ImageIndexFromPath(w.Build("//:converted_index", "--output_groups=oci_layout")[0])
	bazeltest.Must(t, err)
	bazeltest.Must(t, validate.Index(again))
	manifest, config := w.image("//:on_converted")
	if len(manifest.Layers) != 3 || len(config.History) != 3 || config.Architecture != "arm64" {
		t.Errorf("an image on it has %d layers and the config %+v", len(manifest.Layers), config)
	}
}

func TestALayoutThatIsNotAsTheRuleSaysFails(t *testing.T) {
	w := newWorkspace(t)
	w.makeLayouts()
	for target, want := range map[string]string{
		"//:too_few": `has 2 layers, and the attribute layers has 1: set layers to ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+gzip"]`,
		"//:others":  "manifests: says linux/s390x, and the layout has linux/amd64, linux/arm64/v8",
	} {
		if said := w.Fails("build", target); !strings.Contains(said, want) || !strings.Contains(said, target) {
			t.Errorf("%s: the error does not say %q:\n%s", target, want, said)
		}
	}
}

func TestDerivedRules(t *testing.T) {
	w := newWorkspace(t)
	_, config := w.image("//:derived")
	if config.Config.Labels["team"] != "infrastructure" {
		t.Errorf("labels are %v", config.Config.Labels)
	}
}

// manifestOf decodes what other code says a manifest is.
func manifestOf(t *testing.T, b []byte) *v1.Manifest {
	t.Helper()
	var m v1.Manifest
	bazeltest.Must(t, json.Unmarshal(b, &m))
	return &m
}
