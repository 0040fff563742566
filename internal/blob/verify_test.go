package blob_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
)

func TestVerifyPassesRightBytes(t *testing.T) {
	blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		return blob.Verify("directory", directory(t, bodies))
	})
}

func TestVerifyErrorNamesSideDigestAndWhatIsWrong(t *testing.T) {
	d := blobtest.Describe([]byte("right"))
	for body, want := range map[string]string{
		"wrong":  "has the digest sha256:",
		"righ":   "ends after 4 of 5 bytes",
		"rights": "has more than the 5 bytes",
	} {
		_, err := readFrom(t, blob.Verify("cache", blobtest.Content([]byte(body))))(d)
		if !errors.Is(err, blob.ErrMismatch) || !strings.HasPrefix(err.Error(), "cache: blob "+string(d.Digest)) || !strings.Contains(err.Error(), want) {
			t.Errorf("of %q: error is %v; want ErrMismatch with %q", body, err, want)
		}
	}
}

// An HTTP client stops at the announced length and never sees the end of the reader.
func TestVerifyFindsWrongBytesBeforeTheEndIsRead(t *testing.T) {
	d := blobtest.Describe([]byte("right"))
	r, err := blob.Verify("cache", blobtest.Content([]byte("wrong"))).Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatalf("error is %v: ReadFull drops one that comes with the last byte", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("the next read says %v; want ErrMismatch", err)
	}
}

func TestVerifyReadsByteByByte(t *testing.T) {
	body := []byte("byte by byte")
	r, err := blob.Verify("x", blobtest.Content(body)).Open(t.Context(), blobtest.Describe(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %q, %v", got, err)
	}
}
