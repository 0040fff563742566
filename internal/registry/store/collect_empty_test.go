package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func TestCollectRemovesTheFoldersOfRepositoriesThatHaveNothing(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{})
	gone, stays := repository(t, s, "gone"), repository(t, s, "stays")
	for range 2 { // it can come back
		subject := put(t, gone, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "x")
		artifact := put(t, gone, oci.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
			subject.MediaType, subject.Digest, subject.Size))
		blob := putBlob(t, gone, "blob")
		putBlob(t, stays, "blob")
		collect(t, s)
		for _, d := range []oci.Descriptor{artifact, subject} {
			if err := gone.DeleteManifest(t.Context(), d.Digest); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := gone.Tags(t.Context(), "", -1); err != nil {
			t.Errorf("a repository that has a blob: %v", err)
		}
		if err := gone.DeleteBlob(t.Context(), blob.Digest); err != nil {
			t.Fatal(err)
		}
		collect(t, s)
		left, err := os.ReadDir(filepath.Join(root, "repositories"))
		if err != nil || len(left) != 1 || left[0].Name() != "stays" {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}
