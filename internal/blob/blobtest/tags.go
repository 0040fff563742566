package blobtest

import (
	"errors"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

type named interface {
	Store
	blob.Tagger
	blob.Resolver
}

func testTags(t *testing.T, open func(*testing.T) Store) {
	if _, ok := open(t).(named); !ok {
		return
	}
	platform := oci.Platform{OS: "linux", Architecture: "amd64"}
	t.Run("NameAManifest", func(t *testing.T) {
		s := open(t).(named)
		d := Image(t, s, platform, []byte("one"))
		tag(t, s, d, "v1.0_x")
		wantResolved(t, s, "v1.0_x", d)
		wantResolved(t, s, string(d.Digest), d)
	})
	t.Run("NameAnIndex", func(t *testing.T) {
		s := open(t).(named)
		d := Index(t, s, Image(t, s, platform, []byte("one")))
		tag(t, s, d, "all")
		wantResolved(t, s, "all", d)
	})
	t.Run("Move", func(t *testing.T) {
		s := open(t).(named)
		one, two := Image(t, s, platform, []byte("one")), Image(t, s, platform, []byte("two"))
		tag(t, s, one, "latest")
		tag(t, s, two, "latest")
		wantResolved(t, s, "latest", two)
	})
	t.Run("AreNotFoundWhereNoneIs", func(t *testing.T) {
		s := open(t).(named)
		absent := string(oci.DigestOf([]byte("absent")))
		for _, reference := range []string{"absent", absent} {
			if d, err := s.Resolve(t.Context(), reference); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("resolved %s to %s, %v; want ErrNotFound", reference, d.Digest, err)
			}
		}
	})
	t.Run("AreChecked", func(t *testing.T) {
		s := open(t).(named)
		d := Image(t, s, platform, []byte("one"))
		if err := s.Tag(t.Context(), d, "../escape"); err == nil {
			t.Error("took a tag that is none")
		}
	})
}

func tag(t *testing.T, s named, d oci.Descriptor, tag string) {
	t.Helper()
	if err := s.Tag(t.Context(), d, tag); err != nil {
		t.Fatalf("tag %s: %v", tag, err)
	}
}

func wantResolved(t *testing.T, s named, reference string, want oci.Descriptor) {
	t.Helper()
	got, err := s.Resolve(t.Context(), reference)
	if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
		t.Errorf("%s resolves to %v, %v; want %v", reference, got, err, want)
	}
}
