package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// chunk is how many bytes a message carries. containerd takes messages up to 16 MiB.
const chunk = 1 << 20

// writer is one blob on its way. What it wrote is visible only once it is committed.
type writer struct {
	store  *Store
	ctx    context.Context // of the stream
	cancel func()
	d      oci.Descriptor
	ref    string
	stream content.Content_WriteClient
	offset int64
	done   bool
}

// errExists is what any step of a write returns when the blob is there, perhaps by another's write meanwhile.
var errExists = errors.New("the blob exists")

// begin opens a write. Each write has a name of its own, so that loads at the same time do not
// wait for one another.
func (s *Store) begin(ctx context.Context, d oci.Descriptor) (*writer, error) {
	stream, cancel := context.WithCancel(ctx)
	w := &writer{store: s, ctx: stream, cancel: cancel, d: d, ref: "img-" + d.Digest.Encoded() + "-" + random()}
	var err error
	if w.stream, err = s.client.Write(s.in(stream)); err != nil {
		cancel()
		return nil, s.wrap(ctx, d, err)
	}
	if err := w.send(&content.WriteContentRequest{Action: content.WriteAction_STAT}); err != nil {
		cancel()
		return nil, err
	}
	return w, nil
}

// send sends a message and takes the answer to it, which says how far the write is.
func (w *writer) send(m *content.WriteContentRequest) error {
	m.Ref, m.Total, m.Expected = w.ref, w.d.Size, string(w.d.Digest)
	err := w.stream.Send(m)
	if err == nil || err == io.EOF { // at EOF, Recv says what is wrong
		var r *content.WriteContentResponse
		if r, err = w.stream.Recv(); err == nil {
			w.offset = r.Offset
			return nil
		}
	}
	if status.Code(err) == codes.AlreadyExists {
		return errExists
	}
	return w.store.wrap(w.ctx, w.d, err)
}

// copy sends all bytes, unless containerd has them.
func (w *writer) copy(src blob.Source) error {
	if w.offset == w.d.Size && w.d.Size > 0 {
		return nil
	}
	r, err := blob.Verify("source", src).Open(w.ctx, w.d)
	if err != nil {
		return err
	}
	defer r.Close()
	buffer := make([]byte, min(chunk, max(w.d.Size, 1)))
	for {
		n, err := io.ReadFull(r, buffer)
		if n > 0 {
			if err := w.send(&content.WriteContentRequest{Action: content.WriteAction_WRITE, Offset: w.offset, Data: buffer[:n]}); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return w.ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// commit makes the blob visible. containerd checks size and digest.
func (w *writer) commit(labels map[string]string) error {
	err := w.send(&content.WriteContentRequest{Action: content.WriteAction_COMMIT, Offset: w.offset, Labels: labels})
	w.done = err == nil
	return err
}

// end drops what was not committed.
func (w *writer) end() {
	w.cancel()
	if w.done {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
	defer cancel()
	w.store.client.Abort(w.store.in(ctx), &content.AbortRequest{Ref: w.ref}) // it goes with the lease anyway
}

func random() string { return rand.Text()[:12] }
