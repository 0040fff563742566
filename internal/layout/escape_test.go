package layout_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
)

// TestALinkOutOfALayoutGivesNothingAway: a blob is what has its digest, wherever it lies.
func TestALinkOutOfALayoutGivesNothingAway(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "id_rsa")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, s := &mem.Store{}, dir.Store{Root: t.TempDir(), Volatile: true}
	layer := blobtest.Describe([]byte("public"))
	root := blobtest.Image(t, source, amd64, []byte("public"))
	if _, err := blob.Copy(t.Context(), s, source, blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
	at, _ := s.Path(layer)
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{root}})
	for _, err := range []error{os.WriteFile(filepath.Join(s.Root, "index.json"), index, 0o644), os.Remove(at), os.Symlink(secret, at)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	var also bytes.Buffer
	if err := openLayout(t, s.Root).Place(t.Context(), layer, out, &also); err == nil {
		t.Error("another file is taken for the blob")
	}
	if b, err := os.ReadFile(out); err == nil {
		t.Errorf("there is %q", b)
	}
}

// TestAnArchiveNamesNothingOutsideOfIt: neither by names nor by links.
func TestAnArchiveNamesNothingOutsideOfIt(t *testing.T) {
	for name, list := range map[string]string{
		"a config by an absolute path": `[{"Config":"/etc/hostname","Layers":[]}]`,
		"a config above":               `[{"Config":"../../../../etc/hostname","Layers":[]}]`,
		"a config by a link":           `[{"Config":"link","Layers":[]}]`,
		"a layer above":                `[{"Config":"config","Layers":["../../../../etc/hostname"]}]`,
		"a layer by a link":            `[{"Config":"config","Layers":["link"]}]`,
		"a layer by a circle of links": `[{"Config":"config","Layers":["circle"]}]`,
	} {
		path := dockerArchive(t, saved{name: "config", body: configOf(t, "layer")}, saved{name: "link", target: "/etc/hostname"},
			saved{name: "circle", target: "circle"}, saved{name: "manifest.json", body: list})
		if _, err := layout.OpenAny(path); err == nil || !strings.Contains(err.Error(), "archive has not") && !strings.Contains(err.Error(), "not exist") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
