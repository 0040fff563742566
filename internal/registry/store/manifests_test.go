package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

var linux = oci.Platform{OS: "linux", Architecture: "amd64"}

func TestAManifestIsRefusedWithoutItsChildren(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	a, b := port{repository(t, s, "a")}, port{repository(t, s, "b")}
	image := blobtest.Image(t, a, linux, []byte("layer"))
	index := blobtest.Index(t, a, image)
	for name, d := range map[string]oci.Descriptor{"an image": image, "an index": index} {
		err := b.Put(t.Context(), d, a) // all of it is in the store, but in another repository
		if missing := new(store.MissingError); !errors.As(err, &missing) {
			t.Errorf("%s: error is %v; want a MissingError", name, err)
		}
		if _, err := b.Repository.Resolve(t.Context(), string(d.Digest)); !errors.Is(err, store.ErrManifestUnknown) {
			t.Errorf("%s: is there: %v", name, err)
		}
	}
}

func TestAManifestIsRefusedWhenItIsWrongAboutAChildsSize(t *testing.T) {
	r := newRepository(t)
	config := putBlob(t, r, "{}")
	document := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x","digest":"%s","size":3}}`, config.Digest)
	_, err := r.PutManifest(t.Context(), oci.Describe(oci.MediaTypeManifest, []byte(document)), []byte(document))
	if missing := new(store.MissingError); !errors.As(err, &missing) {
		t.Errorf("error is %v; want a MissingError", err)
	}
}

func TestForeignLayersAndSubjectsNeedNotBeThere(t *testing.T) {
	r := newRepository(t)
	config := putBlob(t, r, "{}")
	absent := oci.DigestOf([]byte("absent"))
	d := put(t, r, oci.MediaTypeManifest, fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x","digest":"%s","size":2},
		"layers":[{"mediaType":"y","digest":"%s","size":1,"urls":["https://example.com/"]}],
		"subject":{"mediaType":"z","digest":"%s","size":1}}`, config.Digest, absent, absent))
	if _, err := r.Resolve(t.Context(), string(d.Digest)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoManifestIsRefused(t *testing.T) {
	r := newRepository(t)
	for name, c := range map[string]struct{ mediaType, document string }{
		"no JSON":                     {oci.MediaTypeManifest, "{"},
		"another type":                {"application/json", "{}"},
		"no type":                     {"", `{"schemaVersion":2}`},
		"schema 1":                    {oci.MediaTypeIndex, `{"schemaVersion":1,"manifests":[]}`},
		"no config":                   {oci.MediaTypeManifest, `{"schemaVersion":2,"layers":[]}`},
		"a subject without a digest":  {oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[],"subject":{"digest":"../x"}}`},
		"a manifest that is an index": {oci.MediaTypeIndex, `{"schemaVersion":2,"config":{},"layers":[]}`},
	} {
		_, err := r.PutManifest(t.Context(), oci.Describe(c.mediaType, []byte(c.document)), []byte(c.document))
		if !errors.Is(err, store.ErrManifestInvalid) {
			t.Errorf("%s: error is %v; want ErrManifestInvalid", name, err)
		}
	}
}

func TestAManifestWithAWrongTagIsNotStored(t *testing.T) {
	r := newRepository(t)
	document := []byte(`{"schemaVersion":2,"manifests":[]}`)
	d := oci.Describe(oci.MediaTypeIndex, document)
	if _, err := r.PutManifest(t.Context(), d, document, "good", "../bad"); !errors.Is(err, store.ErrName) {
		t.Errorf("error is %v; want ErrName", err)
	}
	if _, err := r.Resolve(t.Context(), string(d.Digest)); !errors.Is(err, store.ErrManifestUnknown) {
		t.Errorf("the manifest: %v", err)
	}
}

func TestTagsAreListedInOrderAndInPages(t *testing.T) {
	r := newRepository(t)
	if _, _, err := r.Tags(t.Context(), "", -1); !errors.Is(err, store.ErrRepositoryUnknown) {
		t.Errorf("of no repository: %v", err)
	}
	capitals := strings.Repeat("A", 128)
	put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "v2", "V1", "v1", "vX", "a.", capitals, "_x")
	want := []string{capitals, "V1", "_x", "a.", "v1", "v2", "vX"}
	var got []string
	for last, more := "", true; more; {
		var page []string
		var err error
		if page, more, err = r.Tags(t.Context(), last, 3); err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		last = page[len(page)-1]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tags (-want +got):\n%s", d)
	}
}

func TestTagsThatDifferInCaseAreDifferent(t *testing.T) {
	r := newRepository(t)
	one := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "Tag")
	two := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[] }`, "tag")
	for tag, want := range map[string]oci.Descriptor{"Tag": one, "tag": two} {
		if got, err := r.Resolve(t.Context(), tag); err != nil || got.Digest != want.Digest {
			t.Errorf("%s is %s, %v; want %s", tag, got.Digest, err, want.Digest)
		}
	}
}

func TestDeletingATagLeavesItsManifest(t *testing.T) {
	r := newRepository(t)
	d := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "a", "b")
	if err := r.DeleteTag(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteTag(t.Context(), "a"); !errors.Is(err, store.ErrManifestUnknown) {
		t.Errorf("again: %v", err)
	}
	for _, reference := range []string{"b", string(d.Digest)} {
		if _, err := r.Resolve(t.Context(), reference); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

func TestDeletingAManifestDeletesItsTagsAndNoOthers(t *testing.T) {
	r := newRepository(t)
	d := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "a", "b")
	put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[] }`, "b", "c")
	if err := r.DeleteManifest(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteManifest(t.Context(), d.Digest); !errors.Is(err, store.ErrManifestUnknown) {
		t.Errorf("again: %v", err)
	}
	if tags, _, err := r.Tags(t.Context(), "", -1); err != nil || !slices.Equal(tags, []string{"b", "c"}) {
		t.Errorf("tags are %q, %v", tags, err)
	}
}

func TestWhatAManifestRefersToIsNotDeletedBeforeIt(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	a, b := port{repository(t, s, "a")}, port{repository(t, s, "b")}
	layer := []byte("layer")
	image := blobtest.Image(t, a, linux, layer)
	index := blobtest.Index(t, a, image)
	blobtest.Image(t, b, linux, layer)
	if err := a.DeleteBlob(t.Context(), oci.DigestOf(layer)); !errors.Is(err, store.ErrInUse) {
		t.Errorf("the layer: %v; want ErrInUse", err)
	}
	if err := a.DeleteManifest(t.Context(), image.Digest); !errors.Is(err, store.ErrInUse) {
		t.Errorf("the image: %v; want ErrInUse", err)
	}
	for _, d := range []oci.Descriptor{index, image} {
		if err := a.DeleteManifest(t.Context(), d.Digest); err != nil {
			t.Error(err)
		}
	}
	if err := a.DeleteBlob(t.Context(), oci.DigestOf(layer)); err != nil {
		t.Errorf("the layer, at last: %v", err)
	}
}

func TestADamagedManifestCanBeDeleted(t *testing.T) {
	root := t.TempDir()
	r := repository(t, open(t, root, store.Limits{}), "a")
	d := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "x")
	other := putBlob(t, r, "other")
	if err := os.Truncate(filepath.Join(root, "blobs", "sha256", d.Digest.Encoded()), 3); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteBlob(t.Context(), other.Digest); err != nil {
		t.Errorf("another blob: %v", err)
	}
	if err := r.DeleteManifest(t.Context(), d.Digest); err != nil {
		t.Error(err)
	}
}

func TestReferrers(t *testing.T) {
	r := newRepository(t)
	config := putBlob(t, r, "{}")
	subject := oci.DigestOf([]byte("subject"))
	refer := `"subject":{"mediaType":"s","digest":"` + string(subject) + `","size":1}`
	parts := `"config":{"mediaType":"conf/ig","digest":"` + string(config.Digest) + `","size":2}`
	one := put(t, r, oci.MediaTypeManifest, `{"schemaVersion":2,`+parts+`,`+refer+`,"annotations":{"k":"v"}}`)
	two := put(t, r, oci.MediaTypeManifest, `{"schemaVersion":2,`+parts+`,`+refer+`,"artifactType":"arti/fact"}`)
	three := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[],`+refer+`}`)
	one.ArtifactType, one.Annotations = "conf/ig", map[string]string{"k": "v"}
	two.ArtifactType = "arti/fact"
	want := []oci.Descriptor{one, two, three}
	slices.SortFunc(want, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })

	if d := cmp.Diff(want, referrers(t, r, subject, "")); d != "" {
		t.Errorf("referrers (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[1:], referrers(t, r, subject, want[0].Digest)); d != "" {
		t.Errorf("referrers after the first (-want +got):\n%s", d)
	}
	for _, d := range want {
		if err := r.DeleteManifest(t.Context(), d.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if got := referrers(t, r, subject, ""); len(got) != 0 {
		t.Errorf("after they were deleted there are %v", got)
	}
}

func TestAReferrerWithoutItsManifestIsNotListed(t *testing.T) {
	root := t.TempDir()
	r := repository(t, open(t, root, store.Limits{}), "a")
	subject := oci.DigestOf([]byte("subject"))
	d := put(t, r, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[],"subject":{"mediaType":"s","digest":"`+string(subject)+`","size":1}}`)
	link := filepath.Join(root, "repositories", "a", "manifests", "sha256-"+d.Digest.Encoded())
	if err := os.Remove(link); err != nil { // as if the process had died before
		t.Fatal(err)
	}
	if got := referrers(t, r, subject, ""); len(got) != 0 {
		t.Errorf("referrers are %v", got)
	}
}

func referrers(t *testing.T, r store.Repository, subject, last oci.Digest) []oci.Descriptor {
	t.Helper()
	var all []oci.Descriptor
	for d, err := range r.Referrers(context.Background(), subject, last) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}
