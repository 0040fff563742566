package store

import (
	"os"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// FuzzTagFile checks that tags and names of files are each other's.
func FuzzTagFile(f *testing.F) {
	for _, s := range []string{"latest", "V1.0-RC", "v1@2", "latest@0", "a@00", "A@1", "@", "x@-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if oci.CheckTag(s) == nil {
			if got, ok := fileTag(tagFile(s)); !ok || got != s {
				t.Errorf("%q becomes %q and then %q, %v", s, tagFile(s), got, ok)
			}
		}
		if tag, ok := fileTag(s); ok && tagFile(tag) != s {
			t.Errorf("%q is read as %q, whose file is %q", s, tag, tagFile(tag))
		}
	})
}

// FuzzKnown checks that what is read of a blob elsewhere is of that blob.
func FuzzKnown(f *testing.F) {
	digest := oci.DigestOf(nil)
	f.Add([]byte(`{"digest":"` + string(digest) + `","size":1,"annotations":{"blake3":"00"}}`))
	f.Add([]byte(`{"digest":"sha256:x","size":-1}`))
	f.Add([]byte(`null`))
	s, err := Open(f.TempDir(), Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(s.knownFile(digest), content, 0o644); err != nil {
			t.Fatal(err)
		}
		if d, err := s.recall(digest); err == nil && (d.Digest != digest || d.Size < 0) {
			t.Errorf("%s is read as %v", content, d)
		}
	})
}

// FuzzManifest checks that what is taken as a manifest can be looked into.
func FuzzManifest(f *testing.F) {
	f.Add(oci.MediaTypeManifest, []byte(`{"schemaVersion":2,"config":{"digest":"sha256:x"},"layers":[]}`))
	f.Add(oci.MediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":null,"subject":{}}`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		m, err := parse(oci.Describe(mediaType, body), body)
		if err != nil {
			return
		}
		for _, c := range m.children {
			if _, err := oci.ParseDigest(string(c.Digest)); err != nil || c.Size < 0 {
				t.Errorf("has the child %v", c)
			}
		}
		if m.subject() != "" {
			if _, err := oci.ParseDigest(string(m.subject())); err != nil {
				t.Error(err)
			}
		}
	})
}
