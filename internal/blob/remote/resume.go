package remote

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// worthResuming is the size from which on the two requests of going on cost less than starting again.
const worthResuming = 1 << 20

// broken are the uploads that broke off.
type broken struct {
	mu      sync.Mutex
	uploads map[brokenKey]upload
}

type brokenKey struct {
	repository string
	digest     oci.Digest
}

func (b *broken) keep(repository string, d oci.Descriptor, u upload) {
	if d.Size < worthResuming {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads == nil {
		b.uploads = map[brokenKey]upload{}
	}
	b.uploads[brokenKey{repository, d.Digest}] = u
}

func (b *broken) take(repository string, d oci.Descriptor) (upload, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := brokenKey{repository, d.Digest}
	u, ok := b.uploads[key]
	delete(b.uploads, key)
	return u, ok
}

// resume goes on with an upload where the registry says it broke off. It returns false when there is nothing to go on with, so
// that the upload must begin anew.
func (r *Repository) resume(ctx context.Context, d oci.Descriptor, src blob.Source, last upload) (whole bool, err error) {
	for try := range triesToResume {
		if err := sleep(ctx, time.Duration(try)*stillWriting); err != nil {
			return false, err
		}
		at, offset, err := r.arrived(ctx, d, last.at)
		if statusOf(err) == http.StatusConflict {
			continue
		}
		if err != nil || offset == 0 || offset > d.Size {
			return false, ctx.Err()
		}
		err = r.upload(ctx, d, src, upload{at, offset, true, offset > last.offset})
		status := statusOf(err)
		if status < 400 || blob.IsTransient(err) {
			return err == nil, err
		}
		if status != http.StatusRequestedRangeNotSatisfiable {
			break // the registry lost it, or is not able to
		}
	}
	return false, nil
}

// A registry may not know yet that the connection broke: it says that somebody is writing, or, while it still writes down what
// came, too little. It is asked so often, and waited for so much longer each time.
const (
	triesToResume = 4
	stillWriting  = 200 * time.Millisecond
)

// arrived asks how many bytes of an upload have arrived, and where the rest goes.
func (r *Repository) arrived(ctx context.Context, d oci.Descriptor, at *url.URL) (*url.URL, int64, error) {
	req := r.request(http.MethodGet, at, d)
	resp, err := r.host.do(ctx, r.host.pushes, req, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return nil, 0, err
	}
	defer drain(resp)
	if resp.Header.Get("Location") != "" {
		if at, err = r.location(req, resp); err != nil {
			return nil, 0, err
		}
	}
	return at, received(resp.Header.Get("Range")), nil
}

var rangeOfUpload = regexp.MustCompile(`^(?:bytes=)?0-([0-9]{1,18})$`)

// received reads the Range of an upload: 0-9 are ten bytes. 0-0 may mean one byte or none, and is taken for none.
func received(header string) int64 {
	m := rangeOfUpload.FindStringSubmatch(header)
	if m == nil || m[1] == "0" {
		return 0
	}
	last, _ := strconv.ParseInt(m[1], 10, 64)
	return last + 1
}
