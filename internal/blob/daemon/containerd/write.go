package containerd

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"

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

// begin opens a write. Its error has the code AlreadyExists when the blob is there. Each write has a name of its own, so that loads at the same time do not
// wait for one another.
func (s *Store) begin(ctx context.Context, d oci.Descriptor) (*writer, error) {
	stream, cancel := context.WithCancel(ctx)
	w := &writer{store: s, ctx: stream, cancel: cancel, d: d, ref: "img-" + d.Digest.Encoded() + "-" + random()}
	var err error
	if w.stream, err = s.client.Write(in(stream, s.namespace)); err == nil {
		err = w.send(&content.WriteContentRequest{Action: content.WriteAction_STAT})
	}
	if err != nil {
		w.cancel()
		return nil, err
	}
	return w, nil
}

// send sends a message and takes the answer to it, which says how far the write is.
func (w *writer) send(m *content.WriteContentRequest) error {
	m.Ref, m.Total, m.Expected = w.ref, w.d.Size, string(w.d.Digest)
	if err := w.stream.Send(m); err != nil && err != io.EOF { // at EOF, Recv says what is wrong
		return err
	}
	r, err := w.stream.Recv()
	if err != nil {
		return err
	}
	w.offset = r.Offset
	return nil
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
				return w.store.wrap(w.ctx, w.d, err)
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
	w.store.client.Abort(in(ctx, w.store.namespace), &content.AbortRequest{Ref: w.ref}) // it goes with the lease anyway
}

func random() string { return rand.Text()[:12] }
