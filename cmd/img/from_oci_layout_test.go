package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestWrongRequestsToTakeALayoutApartAreErrors(t *testing.T) {
	source, from := &mem.Store{}, filepath.Join(t.TempDir(), "layout")
	image := blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("layer"))
	if _, err := layout.WriteDirectory(t.Context(), from, source, layout.Directory{Volatile: true}, layout.Image{Root: image}); err != nil {
		t.Fatal(err)
	}
	header := func(rest string) string { return `{"kind":"from-oci-layout","version":1,"name":"//:a",` + rest + `}` }
	in, digest := fmt.Sprintf(`{"type":"layout","from":%q}`, from), fmt.Sprintf(`{"type":"digest","from":%q}`, filepath.Join(t.TempDir(), "digest"))
	for name, row := range map[string]struct {
		lines []string
		want  string
	}{
		"a record of another kind":      {[]string{header(`"platforms":["linux/amd64"]`), `{"type":"manifests","from":"x"}`}, `request line 2: record of unknown type "manifests"`},
		"no layout":                     {[]string{header(`"platforms":["linux/amd64"]`), digest}, "the request names no layout"},
		"no platform":                   {[]string{header(`"platforms":[]`), in, digest}, "the request names no platform"},
		"no platform of a whole layout": {[]string{header(`"platforms":[],"whole":true`), in, digest}, "the request names no platform"},
		"an index that is no index":     {[]string{header(`"platforms":["linux/amd64","linux/arm64"]`), in, digest}, "the request names 2 platforms, and no index of them"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, run(t.Context(), testProcess(nil, nil, "from-oci-layout", requestOf(t, row.lines...))), row.want)
		})
	}
}
