package s3_test

import (
	"io"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/s3"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

var _ interface {
	blob.Sink
	blob.RangeOpener
} = (*s3.Bucket)(nil)

func TestStore(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return open(t, bazeltest.StartBucket(t, "images")) })
}

// A blob of more than one part of an upload is whole, and one that is wrong in its last part is not there.
func TestABlobOfSeveralParts(t *testing.T) {
	b := open(t, bazeltest.StartBucket(t, "images"))
	body := blobtest.Bytes("parts", 17<<20)
	d := blobtest.Describe(body)
	wrong := append([]byte{}, body...)
	wrong[len(wrong)-1]++
	if err := b.Put(t.Context(), d, blobtest.Content(wrong)); err == nil {
		t.Error("wrong bytes are taken")
	}
	if missing, err := b.Missing(t.Context(), d); err != nil || len(missing) != 1 {
		t.Errorf("after wrong bytes it is there, %v", err)
	}
	if err := b.Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	got, err := blob.Verify("bucket", b).Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if _, err := io.Copy(io.Discard, got); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	b := open(t, bazeltest.StartBucket(t, "images"))
	d := blobtest.Describe([]byte("gone"))
	if err := b.Put(t.Context(), d, blobtest.Content([]byte("gone"))); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), d.Digest); err != nil {
		t.Error(err)
	}
	if err := b.Delete(t.Context(), d.Digest); err == nil || !strings.Contains(err.Error(), "bucket images: blob "+string(d.Digest)) {
		t.Errorf("deleting it again says %v", err)
	}
}

func TestABucketThatIsNotThereIsAnError(t *testing.T) {
	for want, o := range map[string]s3.Options{
		"there is no such bucket":    {Bucket: "other", Endpoint: bazeltest.StartBucket(t, "images"), Region: "us-east-1"},
		"endpoint …@127.0.0.1:1: ":   {Bucket: "images", Endpoint: "http://key:secret@127.0.0.1:1"},
		"want http://HOST:PORT":      {Bucket: "images", Endpoint: "127.0.0.1:1"},
		"127.0.0.1:1: connect: conn": {Bucket: "images", Endpoint: "http://127.0.0.1:1", Region: "us-east-1"},
	} {
		if _, err := s3.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q in it", o, err, want)
		}
	}
}

func open(t *testing.T, endpoint string) *s3.Bucket {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	b, err := s3.Open(t.Context(), s3.Options{Bucket: "images", Endpoint: endpoint, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
