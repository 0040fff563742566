package registry

import (
	"cmp"
	"io"
	"net/http"
	"time"
)

// piece is how much of an answer a client must take in the time for which it may stand still.
const piece = 256 << 10

// recorder remembers what was answered, and cuts a client that does not take it.
type recorder struct {
	http.ResponseWriter
	stall   time.Duration
	who     string // sends the request, where that is asked
	status  int
	written int64
}

// timed starts the clock of a request, since a body that nobody reads must arrive too. That of its answer begins with the answer.
func (s *Registry) timed(w http.ResponseWriter, r *http.Request) *recorder {
	if r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.Stall)) // what can't be timed, in a test, is not
	}
	return &recorder{ResponseWriter: w, stall: s.Stall}
}

// allow gives the client time for the next n bytes.
func (w *recorder) allow(n int64) {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.stall * time.Duration(1+n/piece)))
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.allow(0)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	w.allow(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// ReadFrom implements [io.ReaderFrom], by which the kernel sends a file on its own: piece by piece, so that there is a deadline for
// each.
func (w *recorder) ReadFrom(r io.Reader) (sent int64, err error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	left := int64(1<<63 - 1)
	if l, ok := r.(*io.LimitedReader); ok { // the kernel sees a file through one of these, not through two
		r, left = l.R, l.N
	}
	for left > 0 {
		n := min(left, piece)
		w.allow(n)
		var m int64
		m, err = io.Copy(w.ResponseWriter, &io.LimitedReader{R: r, N: n})
		sent, left, w.written = sent+m, left-m, w.written+m
		if err != nil || m < n {
			break
		}
	}
	return sent, err
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
