package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lukechampine.com/blake3"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

func TestABlobHasTheFurtherDigestThatIsAskedFor(t *testing.T) {
	sum := blake3.Sum256([]byte("the blob"))
	for function, want := range map[string]string{"": "", "blake3": hex.EncodeToString(sum[:])} {
		path := filepath.Join(t.TempDir(), "blob")
		got, err := writeBlob(path, function, func(w io.Writer) (layer.Result, error) {
			for _, part := range []string{"the ", "blob"} {
				if _, err := io.WriteString(w, part); err != nil {
					return layer.Result{}, err
				}
			}
			return layer.Result{}, nil
		})
		if err != nil || got.blake3 != want {
			t.Errorf("%q: digest %q, %v: want %q", function, got.blake3, err, want)
		}
		again, err := newFurtherDigest(function)
		if err != nil || again.read(t.Context(), path) != nil || again.String() != want {
			t.Errorf("%q: the file's digest is %q, %v", function, again, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "the blob" {
			t.Errorf("%q: the blob is %q, %v", function, b, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := newFurtherDigest("blake3"); err != nil || !errors.Is(d.read(cancelled, os.Args[0]), context.Canceled) {
		t.Error("a file is read to its end after cancelling")
	}
	if _, err := newFurtherDigest("md5"); err == nil {
		t.Error("md5 was taken")
	}
}
