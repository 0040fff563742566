package deploy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// FuzzParse reads plans: what is taken is the same after it was written and read again.
func FuzzParse(f *testing.F) {
	d := oci.Describe(oci.MediaTypeManifest, []byte("{}"))
	p := Plan{
		Version: Version, Name: "//a:b", Blobs: []Blob{{Descriptor: d, File: "f", Output: "o", BLAKE3: "b"}},
		Operations: []Operation{{Kind: KindPush, Name: "//a:b", Root: d, Registry: "r", Repository: "p", Tags: []string{"t"}, Strategy: "lazy"}},
		Bases:      []Base{{Registries: []string{"r"}, Repository: "p", Digest: string(d.Digest)}},
	}
	b, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"operations":[{"root":{"digest":"sha256:../x"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if d := cmp.Diff(p, q, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("written and read again (-before +after):\n%s", d)
		}
	})
}
