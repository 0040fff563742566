package deploy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func described(body string) oci.Descriptor { return oci.Describe(oci.MediaTypeLayerGzip, []byte(body)) }

func TestMergeNamesEachBlobOnceWithAFileIfThereIsOne(t *testing.T) {
	shared := described("shared")
	base := Base{Registries: []string{"r"}, Repository: "b", Digest: "sha256:1"}
	a := Plan{Operations: []Operation{{Name: "a"}}, Blobs: []Blob{{Descriptor: shared}, {Descriptor: described("a"), File: "fa"}}, Bases: []Base{base}}
	b := Plan{Operations: []Operation{{Name: "b"}}, Blobs: []Blob{{Descriptor: shared, File: "fs"}}, Bases: []Base{base}}
	got := Merge("all", a, b)
	want := Plan{
		Version: Version, Name: "all", Operations: []Operation{{Name: "a"}, {Name: "b"}},
		Blobs: []Blob{{Descriptor: shared, File: "fs"}, {Descriptor: described("a"), File: "fa"}}, Bases: []Base{base},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestStrategiesCanBeReplacedButNotToBringWhatWasLeftOut(t *testing.T) {
	p := Plan{Operations: []Operation{{Kind: KindPush, Strategy: "eager"}, {Kind: KindLoad, Strategy: "eager"}}}
	got, err := p.WithStrategies("lazy", "")
	if err != nil || got.Operations[0].Strategy != "lazy" || got.Operations[1].Strategy != "eager" || p.Operations[0].Strategy != "eager" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := got.WithStrategies("eager", ""); err == nil || !strings.Contains(err.Error(), "leaves layers out") {
		t.Errorf("error is %v", err)
	}
}

// Whatever else a plan of another version looks like.
func TestPlansOfOtherVersionsSaySo(t *testing.T) {
	for plan, want := range map[string]string{
		`{"version": 0, "operations": [], "blobs": {}}`:                  "plan: has version 0 and this img reads version 1: build the target again",
		`{"operations": "of a time before versions"}`:                    "has version 0",
		`{"version": 2, "name": {"label": "//:a"}, "operations": {}}`:    "plan: has version 2 and this img reads version 1: it takes an img, or a bes, as new as the rules",
		`{"version": 2, "operations": [{"root": {"digest": "sha3:1"}}]}`: "has version 2",
		`{"version": "1.1"}`: "plan: json: ",
		`{"version": 1, "operations": [{"root": {"digest": "sha3:1"}}]}`: "root",
	} {
		if _, err := Parse([]byte(plan)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", plan, err, want)
		}
	}
	if _, err := Parse([]byte(`{"version": 1, "operations": [], "more": "that later versions of the tool write"}`)); err != nil {
		t.Error(err)
	}
}

func TestOperationsAreChecked(t *testing.T) {
	for want, op := range map[string]Operation{
		"":                    {Kind: KindPush, Registry: "r.example", Repository: "a/b", Tags: []string{"v1"}},
		"repository":          {Kind: KindPush, Registry: "r.example", Repository: "A/b"},
		`tag "a b"`:           {Kind: KindPush, Repository: "a/b", Tags: []string{"a b"}},
		"names no repository": {Kind: KindPush},
		"has a digest":        {Kind: KindLoad, Tags: []string{"a@sha256:" + strings.Repeat("1", 64)}},
		`reference "a:b:c"`:   {Kind: KindLoad, Tags: []string{"a:b:c"}},
		"is not an operation": {Kind: "pull"},
	} {
		err := op.Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error is %v, want %q", op, err, want)
		}
	}
}

func TestAPlanIsCompleteWhenEveryBlobIsSomewhere(t *testing.T) {
	layer := described("layer")
	config := oci.Describe(oci.MediaTypeConfig, []byte("{}"))
	body := []byte(`{"config":{"mediaType":"` + config.MediaType + `","digest":"` + string(config.Digest) + `","size":2},"layers":[{"mediaType":"` +
		layer.MediaType + `","digest":"` + string(layer.Digest) + `","size":5}]}`)
	root := oci.Describe(oci.MediaTypeManifest, body)
	read := func(oci.Descriptor) ([]byte, error) { return body, nil }
	plan := func(strategy, file string, bases ...Base) Plan {
		return Plan{
			Operations: []Operation{{Name: "//a", Root: root, Strategy: strategy}}, Bases: bases,
			Blobs: []Blob{{Descriptor: root, File: "m"}, {Descriptor: config, File: "c"}, {Descriptor: layer, File: file}},
		}
	}
	for name, p := range map[string]Plan{"at hand": plan("eager", "l"), "in a base": plan("eager", "", Base{}), "lazy": plan("lazy", "")} {
		if err := p.Check(read); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	nowhere := plan("eager", "")
	unnamed := plan("eager", "l")
	unnamed.Blobs = unnamed.Blobs[:2]
	for name, p := range map[string]Plan{"nowhere": nowhere, "not named": unnamed} {
		if err := p.Check(read); err == nil || !strings.Contains(err.Error(), string(layer.Digest)) || !strings.Contains(err.Error(), "//a") {
			t.Errorf("%s: error is %v; want the target and the layer", name, err)
		}
	}
}

func TestAManifestThatIsNotNamedIsLeftToTheBase(t *testing.T) {
	other := oci.Describe(oci.MediaTypeManifest, []byte("{}"))
	body := []byte(`{"manifests":[{"mediaType":"` + other.MediaType + `","digest":"` + string(other.Digest) + `","size":2}]}`)
	root := oci.Describe(oci.MediaTypeIndex, body)
	read := func(oci.Descriptor) ([]byte, error) { return body, nil }
	p := Plan{Operations: []Operation{{Name: "//a", Root: root, Strategy: "eager"}}, Blobs: []Blob{{Descriptor: root, File: "i"}}}
	if err := p.Check(read); err == nil || !strings.Contains(err.Error(), string(other.Digest)) {
		t.Errorf("without a base: error is %v; want the manifest", err)
	}
	p.Bases = []Base{{}}
	if err := p.Check(read); err != nil {
		t.Errorf("with a base: %v", err)
	}
}
