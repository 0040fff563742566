package registry

import (
	"net/http"
	"os"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func getBlob(c call) error {
	digest, err := parseDigest(c.reference)
	if err != nil {
		return err
	}
	f, err := c.repository.Blob(c.r.Context(), digest)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.serveFile(f, digest, "application/octet-stream")
}

// serveFile answers with all of a file or the ranges that are asked for. What is named by its digest may be kept for ever.
func (c call) serveFile(f *os.File, digest oci.Digest, mediaType string) error {
	c.w.Header().Set("Content-Type", mediaType)
	c.w.Header().Set("Docker-Content-Digest", string(digest))
	c.w.Header().Set("Etag", `"`+string(digest)+`"`)
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
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
