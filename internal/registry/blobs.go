package registry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// getBlob answers with a blob from wherever it is. That one is lost must be found out before the answer begins.
func getBlob(c call) error {
	digest, err := parseDigest(c.reference)
	if err != nil {
		return err
	}
	if c.r.Method == http.MethodHead {
		return c.headBlob(digest)
	}
	content, err := c.repository.Blob(c.r.Context(), digest, firstByte(c.r.Header.Get("Range")))
	if err != nil {
		return err
	}
	err = c.serveContent(content, digest, "application/octet-stream")
	return errors.Join(err, content.Close())
}

// headBlob opens nothing: a cache is asked whether it has the blob, which costs it less.
func (c call) headBlob(digest oci.Digest) error {
	d, err := c.repository.Has(c.r.Context(), digest)
	if err != nil {
		return err
	}
	return c.serveContent(io.NewSectionReader(nil, 0, d.Size), digest, "application/octet-stream")
}

// firstByte is where a range begins, as far as that is plain. It is where reading a blob begins, and only that: what is sent is decided later.
func firstByte(ranges string) int64 {
	text, ok := strings.CutPrefix(ranges, "bytes=")
	first, _, _ := strings.Cut(text, "-")
	n, err := parseOffset(first)
	if !ok || err != nil {
		return 0
	}
	return n
}

// serveContent answers with all of a file or the ranges that are asked for. What is named by its digest may be kept for ever.
func (c call) serveContent(content io.ReadSeeker, digest oci.Digest, mediaType string) error {
	c.w.Header().Set("Content-Type", mediaType)
	c.w.Header().Set("Docker-Content-Digest", string(digest))
	c.w.Header().Set("Etag", `"`+string(digest)+`"`)
	http.ServeContent(c.w, c.r, "", time.Time{}, content)
	return nil
}

func deleteBlob(c call) error {
	digest, err := parseDigest(c.reference)
	if err != nil {
		return err
	}
	if err := c.repository.DeleteBlob(c.r.Context(), digest); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// created answers that a blob is now in the repository.
func (c call) created(digest oci.Digest) error {
	c.w.Header().Set("Location", "/v2/"+c.repository.Name()+"/blobs/"+string(digest))
	c.w.Header().Set("Docker-Content-Digest", string(digest))
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func parseDigest(s string) (oci.Digest, error) {
	digest, err := oci.ParseDigest(s)
	if err != nil {
		return "", &problem{http.StatusBadRequest, "DIGEST_INVALID", err.Error()}
	}
	return digest, nil
}
