package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

// sentBody is what one request sends. It keeps the error of the source, which the HTTP client may replace by what came of it,
// and closes what the client, for which that is no hurry, has not closed yet.
type sentBody struct {
	idle   *idle
	mu     sync.Mutex
	err    error
	opened []*bodyReader
}

func (b *sentBody) open(open func() (io.ReadCloser, error), size int64) (io.ReadCloser, error) {
	r, err := open()
	if err != nil {
		b.keep(err)
		return nil, err
	}
	if size == 0 { // or the client would take 0 for "not known" and send chunks
		defer r.Close()
		return http.NoBody, nil
	}
	body := &bodyReader{r: r, left: size, sent: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = append(b.opened, body)
	return body, nil
}

func (b *sentBody) close() {
	b.mu.Lock()
	opened := b.opened
	b.mu.Unlock()
	for _, body := range opened {
		body.Close()
	}
	b.idle.ours()
}

func (b *sentBody) keep(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *sentBody) cause(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return &sourceError{b.err}
	}
	return err
}

// sourceError is an error of the source of what was sent, for which the registry is not to blame.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// bodyReader delivers just as many bytes as were announced, and the last of them only when the source has no more: a registry
// must not get a whole blob from a source of which that is but the beginning.
type bodyReader struct {
	mu     sync.Mutex
	r      io.ReadCloser
	left   int64
	sent   *sentBody
	closed bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errors.New("the request is over")
	}
	if b.left == 0 || len(p) == 0 {
		return 0, io.EOF
	}
	b.sent.idle.ours()
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.left == 0 && (err == nil || err == io.EOF) {
		err = b.end()
	} else if err == io.EOF {
		err = fmt.Errorf("%w: ends %d bytes early", blob.ErrMismatch, b.left)
	}
	if err != nil && err != io.EOF {
		b.sent.keep(err)
		return 0, err
	}
	if b.left == 0 {
		b.sent.idle.answer()
	} else {
		b.sent.idle.their()
	}
	return n, err
}

// end makes sure that the source is at its end.
func (b *bodyReader) end() error {
	n, err := io.ReadFull(b.r, make([]byte, 1))
	if n > 0 {
		return fmt.Errorf("%w: has more bytes than its descriptor says", blob.ErrMismatch)
	}
	return err
}

// Close waits for a Read under way.
func (b *bodyReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.r.Close()
}
