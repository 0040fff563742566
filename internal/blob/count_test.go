package blob_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
)

func TestCounterCountsBySource(t *testing.T) {
	var counter blob.Counter
	a, b := counter.Source("b", blobtest.Content([]byte("12345"))), counter.Source("a", blobtest.Content([]byte("123")))
	for _, s := range []blob.Source{a, a, b, counter.Source("never read", a)} {
		if _, err := readFrom(t, s)(blobtest.Describe(nil)); err != nil {
			t.Fatal(err)
		}
	}
	want := []blob.SourceTally{
		{Name: "a", Tally: blob.Tally{Blobs: 1, Bytes: 3}},
		{Name: "b", Tally: blob.Tally{Blobs: 3, Bytes: 15}},
		{Name: "never read", Tally: blob.Tally{Blobs: 1, Bytes: 5}},
	}
	if diff := cmp.Diff(want, counter.Tallys()); diff != "" {
		t.Error(diff)
	}
}

func TestCounterCountsTheBytesOfABrokenReadButNoBlob(t *testing.T) {
	var counter blob.Counter
	s := counter.Source("x", &breaking{body: []byte("12345"), every: 2})
	readFrom(t, s)(blobtest.Describe(nil))
	if diff := cmp.Diff([]blob.SourceTally{{Name: "x", Tally: blob.Tally{Bytes: 2}}}, counter.Tallys()); diff != "" {
		t.Error(diff)
	}
}

func TestCountedSourceIsASource(t *testing.T) {
	blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		return new(blob.Counter).Source("directory", directory(t, bodies))
	})
}
