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
const chunk = 512 << 10

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
	if err := w.post(m); err != nil {
		return err
	}
	return w.answer()
}

func (w *writer) post(m *content.WriteContentRequest) error {
	m.Ref, m.Total, m.Expected, m.Offset = w.ref, w.d.Size, string(w.d.Digest), w.offset
	err := w.stream.Send(m)
	if err == nil || err == io.EOF { // at EOF, the answer says what is wrong
		return nil
	}
	return w.fail(err)
}

func (w *writer) answer() error {
	r, err := w.stream.Recv()
	if err != nil {
		return w.fail(err)
	}
	w.offset = r.Offset
	return nil
}

func (w *writer) fail(err error) error {
	if status.Code(err) == codes.AlreadyExists {
		return errExists
	}
	return w.store.wrap(w.ctx, w.d, err)
}

// copy sends all bytes, unless containerd has them. While containerd hashes and writes one chunk, the next is read.
func (w *writer) copy(src blob.Source) error {
	if w.offset == w.d.Size && w.d.Size > 0 {
		return nil
	}
	r, err := blob.Verify("source", src).Open(w.ctx, w.d)
	if err != nil {
		return err
	}
	defer r.Close()
	var buffers [2][]byte // one under way, one being filled
	for i := 0; ; i++ {
		buffer := buffers[i%2]
		if buffer == nil {
			buffer = make([]byte, min(chunk, max(w.d.Size, 1)))
			buffers[i%2] = buffer
		}
		n, err := io.ReadFull(r, buffer)
		if i > 0 {
			if err := w.answer(); err != nil {
				return err
			}
		}
		if n == 0 && err == io.EOF {
			return w.ctx.Err()
		}
		if err != nil && err != io.ErrUnexpectedEOF { // which is the end
			return err
		}
		if err := w.post(&content.WriteContentRequest{Action: content.WriteAction_WRITE, Data: buffer[:n]}); err != nil {
			return err
		}
	}
}

// commit makes the blob visible. containerd checks size and digest.
func (w *writer) commit(labels map[string]string) error {
	err := w.send(&content.WriteContentRequest{Action: content.WriteAction_COMMIT, Labels: labels})
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
