package oci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const other = "sha256:" + "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

func TestChildrenOfAManifestAreItsConfigThenItsLayers(t *testing.T) {
	got := digests(t, MediaTypeManifest, `{"config":{"digest":"`+other+`"},"layers":[{"digest":"`+someDigest+`","size":3}]}`)
	if diff := cmp.Diff([]Digest{other, someDigest}, got); diff != "" {
		t.Error(diff)
	}
}

func TestChildrenOfAnIndexAreItsManifests(t *testing.T) {
	for _, mediaType := range []string{MediaTypeIndex, MediaTypeDockerManifestList} {
		got := digests(t, mediaType, `{"manifests":[{"digest":"`+someDigest+`"},{"digest":"`+other+`"}]}`)
		if diff := cmp.Diff([]Digest{someDigest, other}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestChildrenLeavesOutForeignLayersAndTheSubject(t *testing.T) {
	body := `{"subject":{"digest":"` + other + `"},"layers":[{"digest":"` + other + `","urls":["http://elsewhere"]},{"digest":"` + someDigest + `"}]}`
	if diff := cmp.Diff([]Digest{someDigest}, digests(t, MediaTypeManifest, body)); diff != "" {
		t.Error(diff)
	}
}

func TestChildrenOfABlobAreNone(t *testing.T) {
	if got := digests(t, MediaTypeLayerGzip, "\x1f\x8b"); got != nil {
		t.Errorf("are %v", got)
	}
}

func TestShallowChildrenAreChildrenWithoutLayers(t *testing.T) {
	body := `{"config":{"digest":"` + other + `"},"layers":[{"digest":"` + someDigest + `","size":3}]}`
	got, err := ShallowChildren(Descriptor{MediaType: MediaTypeManifest, Digest: someDigest}, []byte(body))
	if err != nil || len(got) != 1 || got[0].Digest != other {
		t.Errorf("of a manifest: %v, %v; want its config", got, err)
	}
	got, err = ShallowChildren(Descriptor{MediaType: MediaTypeIndex, Digest: someDigest}, []byte(`{"manifests":[{"digest":"`+other+`"}]}`))
	if err != nil || len(got) != 1 {
		t.Errorf("of an index: %v, %v; want its manifest", got, err)
	}
}

func TestChildrenRefusesWhatIsNotAsDescribed(t *testing.T) {
	for body, want := range map[string]string{
		`{"mediaType":"` + MediaTypeIndex + `"}`:                 "says it is",
		`{"manifests":[],"layers":[]}`:                           "both manifests and layers",
		`{"layers":[{"digest":"sha256:zz"}]}`:                    "digest",
		`{"layers":[{"digest":"` + someDigest + `","size":-1}]}`: "has the size -1",
		`{"manifests":[]}`:                                       "has not the parts of one",
		`nonsense`:                                               "invalid",
	} {
		_, err := Children(Descriptor{MediaType: MediaTypeManifest, Digest: someDigest}, []byte(body))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), someDigest) {
			t.Errorf("%s: error is %v; want the manifest's digest and %q", body, err, want)
		}
	}
}

func FuzzChildren(f *testing.F) {
	f.Add(true, []byte(`{"manifests":[{"digest":"`+someDigest+`"}]}`))
	f.Add(false, []byte(`{"config":{"digest":"`+other+`"},"layers":[{"digest":"`+someDigest+`","size":3}]}`))
	f.Fuzz(func(t *testing.T, index bool, body []byte) {
		d := Describe(MediaTypeManifest, body)
		if index {
			d.MediaType = MediaTypeIndex
		}
		children, err := Children(d, body)
		if err != nil {
			return
		}
		for _, c := range children {
			if _, err := ParseDigest(string(c.Digest)); err != nil || c.Size < 0 || len(c.URLs) > 0 {
				t.Errorf("child %v is not one that can be copied", c)
			}
		}
	})
}

func digests(t *testing.T, mediaType, body string) []Digest {
	t.Helper()
	children, err := Children(Descriptor{MediaType: mediaType, Digest: someDigest}, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var out []Digest
	for _, c := range children {
		out = append(out, c.Digest)
	}
	return out
}
