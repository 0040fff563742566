package manifest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

var (
	digestA = oci.DigestOf([]byte("a"))
	digestB = oci.DigestOf([]byte("b"))
	diffA   = oci.DigestOf([]byte("diff a"))
	diffB   = oci.DigestOf([]byte("diff b"))
	linux   = oci.Platform{OS: "linux", Architecture: "amd64"}
)

func layer(name string, d, diff oci.Digest) Layer {
	return Layer{Name: name, MediaType: oci.MediaTypeLayerGzip, Digest: d, Size: 3, DiffID: diff}
}

func testBase() *Base {
	return &Base{
		Manifest: []byte(`{"schemaVersion":2,"config":{},"annotations":{"old":"kept","both":"base"},"x-unknown":{"n":12345678901234567890},` +
			`"layers":[{"mediaType":"` + oci.MediaTypeDockerLayerGzip + `","digest":"` + string(digestA) + `","size":3}]}`),
		Config: []byte(`{"architecture":"arm64","variant":"v8","os":"linux","os.version":"10.0.1","author":"Zoë <z@e>","created":"2020-01-01T00:00:00Z",` +
			`"config":{"Env":["PATH=/bin","A=1"],"Cmd":["sh"],"Healthcheck":{"Interval":30000000000},"Labels":{"l":"1"}},` +
			`"rootfs":{"type":"layers","diff_ids":["` + string(diffA) + `"]},"history":[{"created_by":"base"},{"created_by":"env","empty_layer":true}]}`),
		Name: "registry.example/base:1", Digest: string(digestB),
	}
}

func build(t *testing.T, s Spec) (config, manifest map[string]any, image Image) {
	t.Helper()
	image, err := Build(s)
	if err != nil {
		t.Fatal(err)
	}
	for b, v := range map[*[]byte]*map[string]any{&image.Config: &config, &image.Manifest: &manifest} {
		if err := json.Unmarshal(*b, v); err != nil {
			t.Fatal(err)
		}
	}
	return config, manifest, image
}

func TestBuildFromNothing(t *testing.T) {
	config, manifest, image := build(t, Spec{
		Platform: linux, Layers: []Layer{layer("//a", digestA, diffA)},
		Entrypoint: []string{"/a"}, Env: map[string]string{"B": "2", "A": "1"}, User: "65532",
	})
	want := map[string]any{
		"os": "linux", "architecture": "amd64",
		"config":  map[string]any{"Entrypoint": []any{"/a"}, "Env": []any{"A=1", "B=2"}, "User": "65532"},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []any{string(diffA)}},
		"history": []any{map[string]any{"created_by": "rules_img //a"}},
	}
	if d := cmp.Diff(want, config); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
	if manifest["mediaType"] != oci.MediaTypeManifest || manifest["annotations"] != nil {
		t.Errorf("manifest is %v", manifest)
	}
	if image.Descriptor.Digest != oci.DigestOf(image.Manifest) || oci.FormatPlatform(*image.Descriptor.Platform) != "linux/amd64" {
		t.Errorf("descriptor is %+v", image.Descriptor)
	}
}

func TestBuildLosesNothingOfTheBase(t *testing.T) {
	config, manifest, image := build(t, Spec{
		Platform: oci.Platform{OS: "linux", Architecture: "arm64"}, Base: testBase(), Layers: []Layer{layer("//b", digestB, diffB)},
		Env: map[string]string{"A": "2", "Z": "3"}, Labels: map[string]string{"m": "2"}, Annotations: map[string]string{"both": "mine"},
	})
	if !strings.Contains(string(image.Config), `"author":"Zoë <z@e>"`) || !strings.Contains(string(image.Manifest), `12345678901234567890`) {
		t.Errorf("unknown fields changed:\n%s\n%s", image.Config, image.Manifest)
	}
	run := config["config"].(map[string]any)
	if d := cmp.Diff([]any{"PATH=/bin", "A=2", "Z=3"}, run["Env"]); d != "" {
		t.Errorf("env (-want +got):\n%s", d)
	}
	if run["Healthcheck"] == nil || run["Cmd"] == nil || config["created"] != "2020-01-01T00:00:00Z" || config["variant"] != nil {
		t.Errorf("config is %v", config)
	}
	if history := config["history"].([]any); len(history) != 3 {
		t.Errorf("history is %v: want the base's two entries and one more", history)
	}
	layers := manifest["layers"].([]any)
	if len(layers) != 2 || layers[0].(map[string]any)["mediaType"] != oci.MediaTypeLayerGzip {
		t.Errorf("layers are %v: want the base's with OCI's media type, then the new one", layers)
	}
	want := map[string]any{
		"old": "kept", "both": "mine",
		"org.opencontainers.image.base.name": "registry.example/base:1", "org.opencontainers.image.base.digest": string(digestB),
	}
	if d := cmp.Diff(want, manifest["annotations"]); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	if image.Descriptor.Platform.OSVersion != "10.0.1" {
		t.Errorf("platform is %+v: want the base's os.version", image.Descriptor.Platform)
	}
}

func TestBuildEntrypointClearsTheBasesCmd(t *testing.T) {
	config, _, _ := build(t, Spec{Platform: linux, Base: testBase(), Entrypoint: []string{"/x"}})
	if run := config["config"].(map[string]any); run["Cmd"] != nil {
		t.Errorf("cmd is %v", run["Cmd"])
	}
}

func TestHistoryLinesUpWithLayers(t *testing.T) {
	for base, want := range map[string][]string{
		`[{"created_by":"base"},{"created_by":"env","empty_layer":true}]`: {"base", "env", "rules_img //b"},
		`[]`: {"", "rules_img //b"},
		`[{"created_by":"env","empty_layer":true}]`: {"env", "", "rules_img //b"},
	} {
		b := testBase()
		b.Config = []byte(`{"rootfs":{"type":"layers","diff_ids":["` + string(diffA) + `"]},"history":` + base + `}`)
		config, _, _ := build(t, Spec{Platform: linux, Base: b, Layers: []Layer{layer("//b", digestB, diffB)}})
		var got []string
		for _, e := range config["history"].([]any) {
			by, _ := e.(map[string]any)["created_by"].(string)
			got = append(got, by)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", base, d)
		}
	}
}

func TestBuildKeepsWhatABasesLayersSay(t *testing.T) {
	b := testBase()
	b.Manifest = []byte(`{"subject":{"digest":"x"},"layers":[{"mediaType":"` + oci.MediaTypeDockerForeignLayerGzip + `","digest":"` + string(digestA) +
		`","size":3,"urls":["https://example.com/<a>"],"x-field":9007199254740993}]}`)
	_, manifest, image := build(t, Spec{Platform: linux, Base: b})
	for _, want := range []string{`"urls":["https://example.com/<a>"]`, `"x-field":9007199254740993`, oci.MediaTypeForeignLayerGzip} {
		if !strings.Contains(string(image.Manifest), want) {
			t.Errorf("manifest has not %s: %s", want, image.Manifest)
		}
	}
	if manifest["subject"] != nil {
		t.Errorf("the base's subject became the image's: %s", image.Manifest)
	}
}

func TestAFragmentIsMergedBeforeTheAttributes(t *testing.T) {
	config, _, _ := build(t, Spec{
		Platform: linux, Base: testBase(), Env: map[string]string{"A": "mine"}, User: "7", Created: "2024-01-31T12:00:00Z",
		Fragment: []byte(`{"author":null,"os":"plan9","config":{"Cmd":["other"],"User":"8","Healthcheck":{"Retries":3},"Env":["A=fragment","F=1"]}}`),
	})
	run := config["config"].(map[string]any)
	want := map[string]any{
		"Cmd": []any{"other"}, "User": "7", "Env": []any{"A=mine", "F=1"}, "Labels": map[string]any{"l": "1"},
		"Healthcheck": map[string]any{"Interval": 30000000000.0, "Retries": 3.0},
	}
	if d := cmp.Diff(want, run); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
	if config["author"] != nil || config["os"] != "linux" || config["created"] != "2024-01-31T12:00:00Z" {
		t.Errorf("config is %v", config)
	}
}

func TestArtifacts(t *testing.T) {
	_, manifest, image := build(t, Spec{Platform: linux, ArtifactType: "application/x", ConfigMediaType: oci.MediaTypeEmpty})
	if string(image.Config) != "{}" || manifest["artifactType"] != "application/x" {
		t.Errorf("config %s, manifest %s", image.Config, image.Manifest)
	}
	helm := "application/vnd.cncf.helm.config.v1+json"
	_, manifest, image = build(t, Spec{Platform: linux, ConfigMediaType: helm, Fragment: []byte(`{ "name": "chart" }` + "\n")})
	if string(image.Config) != "{ \"name\": \"chart\" }\n" || manifest["config"].(map[string]any)["mediaType"] != helm {
		t.Errorf("the config is not as it was given: %q, manifest %s", image.Config, image.Manifest)
	}
}

func TestBuildRefusesWhatCannotBe(t *testing.T) {
	for want, s := range map[string]Spec{
		"config_media_type: a config of the type application/x must be given": {ConfigMediaType: "application/x"},
		"config_fragment: sets rootfs":                                        {Fragment: []byte(`{"rootfs":{}}`)},
		"config_fragment: invalid":                                            {Fragment: []byte(`nonsense`)},
		`env: "A=B" is not the name of a variable`:                            {Env: map[string]string{"A=B": "1"}},
	} {
		if _, err := Build(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v: want %q", err, want)
		}
	}
}

func TestParseCreated(t *testing.T) {
	if got, err := ParseCreated([]byte("2024-01-31T12:00:00+01:00\n")); err != nil || got != "2024-01-31T12:00:00+01:00" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "1706702400", "2024-01-31"} {
		if _, err := ParseCreated([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBuildRefusesABaseThatDoesNotFitTogether(t *testing.T) {
	b := testBase()
	b.Config = []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`)
	if _, err := Build(Spec{Platform: linux, Base: b}); !errors.Is(err, errLayers) {
		t.Errorf("error is %v", err)
	}
	for _, bad := range []string{"", "null", "[]", `{"config":1}`} {
		if _, err := Build(Spec{Platform: linux, Base: &Base{Manifest: []byte(`{"layers":[]}`), Config: []byte(bad)}}); err == nil {
			t.Errorf("config %q was taken", bad)
		}
	}
}

func TestParseLayerRefuses(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"digest":"sha256:1","diff_id":"x"}`, `{"digest":"` + string(digestA) + `","diff_id":"` + string(diffA) + `","size":-1,"mediaType":"m"}`} {
		if _, err := ParseLayer([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzBuildOnABase(f *testing.F) {
	b := testBase()
	f.Add(b.Manifest, b.Config)
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		image, err := Build(Spec{Platform: linux, Base: &Base{Manifest: manifest, Config: config}})
		if err != nil {
			return
		}
		if again, err := Build(Spec{Platform: linux, Base: &Base{Manifest: image.Manifest, Config: image.Config}}); err != nil || string(again.Config) != string(image.Config) {
			t.Errorf("building on the result changed it: %v\n%s\n%s", err, image.Config, again.Config)
		}
	})
}

// FuzzFragment merges a fragment over a config, and adds a layer of which metadata tell.
func FuzzFragment(f *testing.F) {
	f.Add([]byte(`{"config":{"Env":["A=B"],"Healthcheck":{"Test":null}},"os.version":"1"}`), []byte(`{"name":"l","mediaType":"m","digest":"`+string(digestA)+`","size":1,"diff_id":"`+string(diffA)+`"}`), "2024-01-31T12:00:00Z\n")
	f.Fuzz(func(t *testing.T, fragment, metadata []byte, created string) {
		l, err := ParseLayer(metadata)
		if err != nil {
			return
		}
		at, err := ParseCreated([]byte(created))
		if err != nil {
			at = ""
		}
		image, err := Build(Spec{Platform: linux, Fragment: fragment, Layers: []Layer{l}, Created: at})
		if err == nil && !json.Valid(image.Config) {
			t.Errorf("the config is no JSON: %s", image.Config)
		}
	})
}
