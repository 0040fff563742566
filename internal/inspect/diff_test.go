package inspect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func compare(t testing.TB, s *store, a, b oci.Descriptor) (*inspect.Difference, string) {
	t.Helper()
	r := &inspect.Reader{Source: s}
	d, err := inspect.Compare(t.Context(), r, r, "old", "new", a, b)
	must(t, err)
	var text strings.Builder
	must(t, inspect.Text{Bytes: plainBytes}.Difference(&text, d))
	return d, text.String()
}

func TestFilesAreComparedAsAContainerSeesThem(t *testing.T) {
	s := &store{}
	base := gzipLayer(s, archive(t, "644 0 gone=1", "644 0 same=2", "644 0 content=3", "600 0 mode=4", "644 0 owner=5", "777 0 link->a", "644 0 type=6", "755 0 d/"))
	a := image(t, s, nil, base)
	b := image(t, s, nil, base, gzipLayer(s, archive(t,
		"0 0 .wh.gone", "644 0 content=33", "644 0 mode=4", "644 1 owner=5", "777 0 link->b", "755 0 type/", "644 0 d/new=7", "644 0 same=2")))
	d, text := compare(t, s, a, b)
	got := map[string][]string{}
	for _, f := range d.Files {
		what := f.What
		switch {
		case f.A == nil:
			what = []string{"added"}
		case f.B == nil:
			what = []string{"removed"}
		}
		got[f.Path] = what
	}
	want := map[string][]string{
		"gone": {"removed"}, "content": {"content"}, "mode": {"mode"}, "owner": {"owner"}, "link": {"target"}, "type": {"type"}, "d/new": {"added"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, line := range []string{
		"files: 1 added, 1 removed, 5 changed\n", "  + /d/new (0644 0:0, 1 B)\n", "  - /gone (0644 0:0, 1 B)\n", "  ~ /content: content 1 B -> 2 B\n",
		"  ~ /mode: mode 0600 -> 0644\n", "  ~ /owner: owner 0:0 -> 1:1\n", "  ~ /link: target a -> b\n", "  ~ /type: type file -> directory\n", "layers:\n  + 2: ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in:\n%s", line, text)
		}
	}
}

func TestTheSameImageHasNothingToTell(t *testing.T) {
	s := &store{}
	root := image(t, s, nil, gzipLayer(s, archive(t, "644 0 a=b")))
	s.moved.Store(0)
	if d, text := compare(t, s, root, root); !d.Same || text != "" {
		t.Errorf("%+v\n%s", d, text)
	}
}

func TestLayersOfTheSameContentAreNotRead(t *testing.T) {
	s := &store{}
	files := map[string]string{"a": strings.Repeat("content", 10000)}
	plain := archive(t, "644 0 a=b")
	gz := gzipLayer(s, plain)
	uncompressed := made{s.Add(oci.MediaTypeLayer, plain), gz.diffID}
	a, b := image(t, s, nil, gz, lazyLayer(t, s, layer.Gzip, files)), image(t, s, nil, uncompressed, lazyLayer(t, s, layer.Gzip, files))
	s.moved.Store(0)
	d, text := compare(t, s, a, b)
	if d.Same || len(d.Layers) != 1 || d.Layers[0].A == nil || d.Layers[0].B == nil || d.Files != nil {
		t.Errorf("layers differ as %+v, files as %+v", d.Layers, d.Files)
	}
	if !strings.Contains(text, "(uncompressed), the same content\n") {
		t.Errorf("text is\n%s", text)
	}
	if moved := s.moved.Load(); moved > 5000 {
		t.Errorf("%d bytes were read, the layers among them", moved)
	}
}

func TestConfigsAreComparedFieldByField(t *testing.T) {
	s := &store{}
	l := gzipLayer(s, archive(t, "644 0 a=b"))
	root := func(run map[string]any) oci.Descriptor {
		return image(t, s, func(config map[string]any, m *oci.Manifest) {
			config["config"] = run
			m.Annotations = map[string]string{"org.example.a b": run["User"].(string)}
		}, l)
	}
	d, text := compare(t, s,
		root(map[string]any{"User": "1", "Env": []string{"A=1", "B=2", "A=3"}, "Cmd": []string{"x"}}),
		root(map[string]any{"User": "2", "Env": []string{"B=2", "A=4"}, "Labels": map[string]string{"org.example": "\x1b"}}))
	got := map[string]string{}
	for _, c := range append(d.Config, d.Manifest...) {
		got[c.Path] = string(c.A) + " " + string(c.B)
	}
	want := map[string]string{
		"config.User": `"1" "2"`, "config.Env.A": `"3" "4"`, "config.Cmd": `["x"] `, `config.Labels["org.example"]`: ` "\u001b"`, `annotations["org.example.a b"]`: `"1" "2"`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if strings.Contains(text, "\x1b") || !strings.Contains(text, "  ~ config.Env.A:\n      - \"3\"\n      + \"4\"\n") {
		t.Errorf("text is\n%s", text)
	}
}

func TestIndexesAreComparedByPlatform(t *testing.T) {
	s := &store{}
	one := image(t, s, nil, gzipLayer(s, archive(t, "644 0 a=1")))
	two := image(t, s, nil, gzipLayer(s, archive(t, "644 0 a=22")))
	d, text := compare(t, s, index(t, s, map[string]oci.Descriptor{"linux/amd64": one, "linux/arm64": one}), index(t, s, map[string]oci.Descriptor{"linux/amd64": two}))
	if len(d.Images) != 1 || len(d.Images[0].Files) != 1 || len(d.OnlyA) != 1 || d.OnlyA[0].Name != "linux/arm64/v8" {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(text, "\n- linux/arm64/v8 ") || !strings.Contains(text, "\n~ linux/amd64 ") {
		t.Errorf("text is\n%s", text)
	}
	r := &inspect.Reader{Source: s}
	if _, err := inspect.Compare(t.Context(), r, r, "old", "new", one, index(t, s, map[string]oci.Descriptor{"linux/amd64": two})); err == nil || !strings.Contains(err.Error(), "--platform") {
		t.Errorf("an index and an image: %v", err)
	}
}
