package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// startUpload mounts a blob, takes a whole one, or begins an upload, as the query asks.
func startUpload(c call) error {
	query := c.r.URL.Query()
	if a := query.Get("digest-algorithm"); a != "" && a != "sha256" {
		return &problem{http.StatusBadRequest, "UNSUPPORTED", fmt.Sprintf("digests are made with sha256 here, not with %q", a)}
	}
	if query.Has("mount") {
		digest, err := parseDigest(query.Get("mount"))
		if err != nil {
			return err
		}
		err = c.mount(digest, query.Get("from"))
		if err == nil {
			return c.created(digest)
		}
		if !errors.Is(err, store.ErrBlobUnknown) && !errors.Is(err, store.ErrName) {
			return err
		}
	}
	if query.Has("digest") {
		return c.takeWhole(query.Get("digest"))
	}
	return c.begin()
}

// begin makes an upload whose bytes come later.
func (c call) begin() error {
	u, err := c.repository.StartUpload()
	if err != nil {
		return err
	}
	defer u.Close()
	return c.progress(u, http.StatusAccepted)
}

// mount takes the blob from the repository that is named, or else from any: whoever may write here may read everywhere.
func (c call) mount(digest oci.Digest, from string) error {
	if from == "" {
		return c.repository.MountFromAny(c.r.Context(), digest)
	}
	origin, err := c.Store.Repository(from)
	if err != nil {
		return err
	}
	return c.repository.Mount(c.r.Context(), digest, origin)
}

// takeWhole takes a blob that comes in one request, of which nothing stays when it fails: the client knows no upload to resume.
func (c call) takeWhole(want string) error {
	digest, err := parseDigest(want)
	if err != nil {
		return err
	}
	u, err := c.repository.StartUpload()
	if err != nil {
		return err
	}
	defer u.Close()
	if err := c.appendTo(u); err != nil {
		return errors.Join(err, u.Cancel())
	}
	if err := u.Finish(c.r.Context(), digest); err != nil {
		return errors.Join(err, u.Cancel())
	}
	return c.created(digest)
}

func getUpload(c call) error {
	u, err := c.repository.Upload(c.reference)
	if err != nil {
		return err
	}
	defer u.Close()
	return c.progress(u, http.StatusNoContent)
}

func patchUpload(c call) error {
	u, err := c.repository.Upload(c.reference)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := c.receive(u); err != nil {
		return err
	}
	return c.progress(u, http.StatusAccepted)
}

func putUpload(c call) error {
	digest, err := parseDigest(c.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	u, err := c.repository.Upload(c.reference)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := c.receive(u); err != nil {
		return err
	}
	if err := u.Finish(c.r.Context(), digest); err != nil {
		return err
	}
	return c.created(digest)
}

func deleteUpload(c call) error {
	u, err := c.repository.Upload(c.reference)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := u.Cancel(); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// receive appends the body to the upload, if it continues where the upload ends. An upload that is too large is given up, and one for
// which there is no room makes some.
func (c call) receive(u *store.Upload) error {
	if text := c.r.Header.Get("Content-Range"); text != "" {
		first, last, err := parseContentRange(text)
		if err != nil {
			return err
		}
		if n := last - first + 1; c.r.ContentLength >= 0 && c.r.ContentLength != n {
			return &problem{http.StatusBadRequest, "SIZE_INVALID", fmt.Sprintf("the Content-Range has %d bytes and the body %d", n, c.r.ContentLength)}
		}
		if first != u.Size() {
			c.describe(u)
			return &problem{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("the upload has %d bytes: go on from there", u.Size())}
		}
	}
	err := c.appendTo(u)
	if errors.Is(err, store.ErrSize) || store.IsFull(err) {
		err = errors.Join(err, u.Cancel())
	}
	return err
}

// appendTo appends the body. One that says that it is too large is not waited for.
func (c call) appendTo(u *store.Upload) error {
	if err := u.Fits(c.r.ContentLength); err != nil {
		return err
	}
	return u.Append(c.r.Context(), c.body())
}

func (c call) progress(u *store.Upload, status int) error {
	c.describe(u)
	c.w.WriteHeader(status)
	return nil
}

// describe says where the upload goes on. Of an empty one the specification has no way to say that it is empty; "0-0" is
// what clients know.
func (c call) describe(u *store.Upload) {
	c.w.Header().Set("Location", "/v2/"+c.repository.Name()+"/blobs/uploads/"+u.ID())
	c.w.Header().Set("Docker-Upload-Uuid", u.ID())
	c.w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.Size()-1, 0)))
}

// parseContentRange reads the specification's form of the header, "FIRST-LAST", and HTTP's, "bytes FIRST-LAST/SIZE".
func parseContentRange(s string) (first, last int64, err error) {
	text, _, _ := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	a, b, ok := strings.Cut(text, "-")
	first, errFirst := parseOffset(a)
	last, errLast := parseOffset(b)
	if !ok || errFirst != nil || errLast != nil || last < first {
		return 0, 0, &problem{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", fmt.Sprintf("the Content-Range %q is not FIRST-LAST", s)}
	}
	return first, last, nil
}

// parseOffset reads digits only, and leaves room for adding one.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err
}
