package store

import (
	"fmt"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// However many children manifests have, what is remembered of them is bounded.
func TestWhatIsRememberedOfManifestsIsBounded(t *testing.T) {
	var f families
	const each = 100_000
	children := make([][32]byte, each)
	for i := range 3 * maxFamilies / each {
		parent := oci.DigestOf(fmt.Append(nil, i))
		f.remember(parent, children)
		if got, ok := f.of(parent); !ok || len(got) != each {
			t.Fatalf("of manifest %d, %d children are remembered", i, len(got))
		}
		if n := len(f.children) * each; n > maxFamilies {
			t.Fatalf("%d digests are remembered", n)
		}
	}
}
