package bases_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gcr "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// attributes are the lines of a pull of an image with a digest from a registry.
func attributes(registry, repository, digest string, more ...string) string {
	lines := append([]string{
		fmt.Sprintf("registry = %q", registry),
		fmt.Sprintf("repository = %q", repository),
		fmt.Sprintf("digest = %q", digest),
	}, more...)
	return "    " + strings.Join(lines, ",\n    ") + ",\n"
}

const (
	eager   = `layer_handling = "eager"`
	lazy    = `layer_handling = "lazy"`
	byBazel = `downloader = "bazel"`
)

// TestLayersComeWhenTheirHandlingSays pulls in each of the ways with each of the downloaders and counts what the registry is asked.
func TestLayersComeWhenTheirHandlingSays(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	p := newProxy(t, registry, nil).start()
	w := newWorkspace(t, "workspace")
	bases := map[string]string{}
	images := map[string]image{}
	for name, more := range map[string][]string{
		"shallow": {}, "eager": {eager}, "lazy": {lazy},
		"bazel_shallow": {byBazel}, "bazel_eager": {byBazel, eager}, "bazel_lazy": {byBazel, lazy},
	} {
		i := makeImage(t, "linux/amd64", fresh(name))
		images[name] = i
		index := makeIndex(t, map[string]image{"linux/amd64": i, "unknown/unknown": makeImage(t, "unknown/unknown", fresh("attestation"))})
		bases[name] = attributes(p.host(), name, push(t, registry, name, index), more...)
	}
	w.pulls(bases)

	w.Bazel("build", "//:on_nothing", "//:app")
	if asked := p.took(); len(asked) > 0 {
		t.Errorf("targets without a pulled base asked the registry for %q", asked)
	}
	for name, i := range images {
		p.took()
		w.Bazel("build", "//:on_"+name)
		asked := p.took()
		layers := len(about(asked, "/blobs/"+i.layers[0]))
		if want := strings.HasSuffix(name, "eager"); (layers > 0) != want {
			t.Errorf("%s: building an image on the base asked for its layer %d times: %q", name, layers, asked)
		}
		if n := len(about(asked, "/manifests/")); n != 2 {
			t.Errorf("%s: asked for %d manifests; want the index and one, not the attestation's: %q", name, n, asked)
		}
		contents := w.contents("//:layers_of_" + name)
		asked = p.took()
		if strings.HasSuffix(name, "shallow") {
			if len(contents)+len(asked) > 0 {
				t.Errorf("%s: there are %d layers and it asked for %q", name, len(contents), asked)
			}
			continue
		}
		if got := len(about(asked, "/blobs/"+i.layers[0])); got != strings.Count(name, "lazy") {
			t.Errorf("%s: building its layer asked for it %d times: %q", name, got, asked)
		}
		if len(contents) != 1 || contents[0] != compressed(t, i) {
			t.Errorf("%s: there are %d layers, or another one than was pushed", name, len(contents))
		}
	}

	// A layout wants the bytes of layers.
	w.Bazel("build", "//:on_eager", "//:on_lazy", "//:on_bazel_eager", "//:on_bazel_lazy", "--output_groups=oci_layout")
	wantIn(t, w.Fails("build", "//:on_shallow", "--output_groups=oci_layout"), images["shallow"].layers[0], "layer_handling", "eager")

	// What is in the repository cache is not asked for again, not even in another output base with the registry gone.
	p.Close()
	other := w.Fresh()
	var targets []string
	for name := range images {
		targets = append(targets, "//:on_"+name)
	}
	other.Bazel("build", append(targets, "//:layers_of_eager", "//:layers_of_bazel_eager")...)
}

// compressed is the only layer of an image.
func compressed(t *testing.T, i image) string {
	t.Helper()
	layers, err := i.Layers()
	bazeltest.Must(t, err)
	r, err := layers[0].Compressed()
	bazeltest.Must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	bazeltest.Must(t, err)
	return string(b)
}

// TestTheNextMirrorIsAsked pulls through mirrors that fail in each way.
func TestTheNextMirrorIsAsked(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	refused := newProxy(t, registry, nil).start()
	refused.Close()
	missing := newProxy(t, registry, refuses(http.StatusNotFound)).start()
	forbidden := newProxy(t, registry, refuses(http.StatusForbidden)).start()
	liar := newProxy(t, registry, lies("/blobs/")).start()
	i := makeImage(t, "linux/amd64", fresh("mirrored"))
	digest := push(t, registry, "mirrored", i)
	j := makeImage(t, "linux/amd64", fresh("mirrored for Bazel"))
	bazels := push(t, registry, "mirrored", j)
	mirrors := func(hosts ...string) string { return fmt.Sprintf("registries = [\"%s\"]", strings.Join(hosts, `", "`)) }
	all := mirrors(refused.host(), missing.host(), forbidden.host(), liar.host(), registry)
	none := mirrors(refused.host(), missing.host(), forbidden.host(), liar.host())
	w := newWorkspace(t, "workspace")
	w.pulls(map[string]string{
		"mirrored":       attributes("", "mirrored", digest, all, eager),
		"nowhere":        attributes("", "mirrored", push(t, registry, "mirrored", makeImage(t, "linux/amd64", fresh("nowhere"))), none),
		"bazel_mirrored": attributes("", "mirrored", bazels, all, byBazel, eager),
		"bazel_nowhere":  attributes("", "mirrored", push(t, registry, "mirrored", makeImage(t, "linux/amd64", fresh("bazel nowhere"))), none, byBazel),
	})
	w.Bazel("build", "//:on_mirrored")
	if len(liar.took()) == 0 {
		t.Error("the mirrors before the last were not asked")
	}
	wantIn(t, w.Fails("build", "//:on_nowhere"),
		"none of 4 registries delivered it",
		"registry "+refused.host()+"/mirrored: ", "connection refused",
		"registry "+missing.host()+"/mirrored: ", "answers 404",
		"registry "+forbidden.host()+"/mirrored: ", "answers 403",
		liar.host()+"/mirrored: blob ", "content is not what its descriptor says")
	w.Bazel("build", "//:on_bazel_mirrored")
	wantIn(t, w.Fails("build", "//:on_bazel_nowhere"), "Bazel's downloader did not get", refused.host()+": ", "connection refused", liar.host()+": see Bazel's warning above")
	noLies(t, w)
}

// noLies looks for files of the repository cache that are not what they are called.
func noLies(t *testing.T, w workspace) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.cache, "content_addressable", "sha256", "*", "file"))
	bazeltest.Must(t, err)
	if len(files) == 0 {
		t.Error("the repository cache is empty")
	}
	for _, file := range files {
		f, err := os.Open(file)
		bazeltest.Must(t, err)
		got, _, err := v1.SHA256(f)
		f.Close()
		bazeltest.Must(t, err)
		if want := filepath.Base(filepath.Dir(file)); got.Hex != want {
			t.Errorf("%s has the digest %s", file, got.Hex)
		}
	}
}

func TestATagPrintsTheDigestToPin(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	digest := push(t, registry, "tagged", makeImage(t, "linux/amd64", fresh("tagged")))
	lines := fmt.Sprintf("    registry = %q,\n    repository = \"tagged\",\n    tag = \"1\",\n", registry)
	w := newWorkspace(t, "workspace")
	allowed := lines + "    unsafe_allow_tag_without_digest = True,\n"
	w.pulls(map[string]string{"tagged": allowed, "bazels": allowed + "    " + byBazel + ",\n    " + eager + ",\n", "unpinned": lines})
	for _, name := range []string{"tagged", "bazels"} {
		w.Bazel("build", "//:on_"+name)
		wantIn(t, w.Stderr, fmt.Sprintf("@%s: 1 is now %s: pin it with digest = %q", name, digest, digest))
	}
	wantIn(t, w.Fails("build", "//:on_unpinned"), "fail: @unpinned: digest: is missing", "unsafe_allow_tag_without_digest = True")
}

// TestImagesOfEveryShape pulls what registries hold beside the ordinary.
func TestImagesOfEveryShape(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	amd64, arm64 := makeImage(t, "linux/amd64", fresh("amd64")), makeImage(t, "linux/arm64", fresh("arm64"))
	windows := makeImage(t, "windows/amd64:10.0.20348.2700", fresh("windows"))
	inner := makeIndex(t, map[string]image{"linux/arm64": arm64, "linux/amd64": amd64})
	innerDigest := push(t, registry, "shapes", inner)
	size, err := inner.Size()
	bazeltest.Must(t, err)
	oci := string(types.OCIManifestSchema1)
	nested := putManifest(t, registry, "shapes", string(types.OCIImageIndex), map[string]any{
		"schemaVersion": 2,
		"manifests":     []any{map[string]any{"mediaType": types.OCIImageIndex, "digest": innerDigest, "size": size}},
	})
	push(t, registry, "shapes", amd64)
	plain, err := amd64.Manifest()
	bazeltest.Must(t, err)
	noMediaType := putManifest(t, registry, "shapes", oci, map[string]any{"schemaVersion": 2, "config": plain.Config, "layers": plain.Layers})
	artifact := putManifest(t, registry, "shapes", oci, map[string]any{
		"schemaVersion": 2, "mediaType": oci, "artifactType": "application/vnd.example",
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": plain.Config.Digest, "size": plain.Config.Size},
		"layers": plain.Layers,
	})
	noted := mutate.AppendManifests(makeIndex(t, nil), mutate.IndexAddendum{Add: amd64, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}, Annotations: map[string]string{"note": "für 日本"},
	}})
	attested := makeIndex(t, map[string]image{"linux/amd64": amd64, "unknown/unknown": makeImage(t, "unknown/unknown", fresh("attestation"))})
	w := newWorkspace(t, "workspace")
	w.pulls(map[string]string{
		"attested":      attributes(registry, "shapes", push(t, registry, "shapes", attested)),
		"dockers":       attributes(registry, "shapes", push(t, registry, "shapes", asDockers(t, "linux/amd64", fresh("dockers")))),
		"nested":        attributes(registry, "shapes", nested),
		"noted":         attributes(registry, "shapes", push(t, registry, "shapes", noted)),
		"no_media_type": attributes(registry, "shapes", noMediaType),
		"artifact":      attributes(registry, "shapes", artifact),
		"windows":       attributes(registry, "shapes", push(t, registry, "shapes", windows)),
		"no_digest":     attributes(registry, "shapes", "sha256:short"),
	})
	for _, name := range []string{"dockers", "no_media_type"} {
		ref, err := gcr.ParseReference(strings.TrimSpace(w.Bazel("run", "//:push_"+name, "--platforms=//:linux_amd64", "--", "--registry", registry)))
		bazeltest.Must(t, err)
		image, err := remote.Image(ref)
		bazeltest.Must(t, err)
		if err := validate.Image(image); err != nil {
			t.Errorf("the image on %s is not valid: %v", name, err)
		}
	}
	w.Bazel("build", "//:on_nested", "--platforms=//:linux_arm64")
	w.Bazel("build", "//:on_windows", "--platforms=//:windows_amd64")
	wantIn(t, strings.Join(w.contents("@windows//:image-0", "--output_groups=descriptor", "--platforms=//:windows_amd64"), ""), `"os.version":"10.0.20348.2700"`)
	wantIn(t, strings.Join(w.contents("@noted//:image-0", "--output_groups=descriptor"), ""), `"annotations":{"note":"für 日本"}`)
	wantIn(t, w.Fails("build", "//:on_artifact"), "is no image but an artifact of the type \"application/vnd.example\"", "pull_blob_file()")
	wantIn(t, w.Fails("build", "//:on_no_digest"), "digest: \"sha256:short\" is no digest")

	// A base can be pushed as it is, with all that a build does not need.
	for _, name := range []string{"attested", "nested", "dockers"} {
		out := strings.TrimSpace(w.Bazel("run", "//:push_as_it_is_"+name, "--", "--registry", registry))
		ref, err := gcr.ParseReference(out)
		bazeltest.Must(t, err)
		index, err := remote.Index(ref)
		bazeltest.Must(t, err)
		if err := validate.Index(index); err != nil {
			t.Errorf("%s, pushed as it is, is not valid: %v", name, err)
		}
	}

	// A platform that the base lacks is skipped when nobody asked for it, and otherwise an error that says which there are.
	w.Bazel("build", "--platforms=//:linux_s390x", "--show_result=100", "--", "//:all", "-//:on_artifact", "-//:push_artifact", "-//:on_no_digest", "-//:push_no_digest", "-//:push_as_it_is_artifact", "-//:push_as_it_is_no_digest")
	wantIn(t, w.Stderr, "//:on_nested was skipped")
	wantIn(t, w.Fails("build", "//:on_nested", "--platforms=//:linux_s390x"), "linux_s390x", "one of linux/")
	wantIn(t, w.Fails("build", "//:on_incompatible"), "//:on_incompatible is incompatible")
	if purl := w.contents("@nested//package_metadata"); !slices.Equal(purl, []string{fmt.Sprintf(
		"{\"purl\":\"pkg:oci/shapes@%s?repository_url=%s/shapes\"}\n", strings.ReplaceAll(nested, ":", "%3A"), strings.ReplaceAll(registry, ":", "%3A"))}) {
		t.Errorf("package metadata is %q", purl)
	}
}

// TestOnlyWhatIsMissingIsFetched pulls again under other names, after the repository cache has lost some of it.
func TestOnlyWhatIsMissingIsFetched(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	p := newProxy(t, registry, nil).start()
	i := makeImage(t, "linux/amd64", fresh("kept"), fresh("lost"))
	index := push(t, registry, "parts", makeIndex(t, map[string]image{"linux/amd64": i}))
	config, err := i.ConfigName()
	bazeltest.Must(t, err)
	w := newWorkspace(t, "workspace")
	for n, lost := range [][]string{{index, i.digest, config.String(), i.layers[0], i.layers[1]}, {}, {i.layers[1]}, {config.String()}, {i.digest}} {
		for _, downloader := range []string{"img_tool", "bazel"} {
			for _, digest := range lost {
				bazeltest.Must(t, os.RemoveAll(filepath.Join(w.cache, "content_addressable", "sha256", strings.TrimPrefix(digest, "sha256:"))))
			}
			name := fmt.Sprint(downloader, n)
			w.pulls(map[string]string{name: attributes(p.host(), "parts", index, eager, fmt.Sprintf("downloader = %q", downloader))})
			w.Bazel("build", "//:on_"+name)
			asked := p.took()
			for _, digest := range lost {
				if got := about(asked, digest); len(got) != 1 {
					t.Errorf("%s, without %s: asked for it with %q", name, digest, got)
				}
			}
			// With a manifest the tool brings its config.
			if got := len(about(asked, "sha256:")); got != len(lost) && !(downloader == "img_tool" && n == 4 && got == 2) {
				t.Errorf("%s, without %d blobs: asked for %q", name, len(lost), asked)
			}
		}
	}
}
