package registry

import (
	"io"
	"net/http"
	"time"
)

// slowest is how many bytes a second a client must send or take on average, after it has stalled as long as it may.
const slowest = 16 << 10

func timeFor(bytes int64) time.Duration { return time.Duration(bytes) * time.Second / slowest }

// recorder remembers what was answered, and gives the client time to take it.
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

// begin is called with the first that is known of an answer.
func (w *recorder) begin(status int, size int64) {
	if w.status != 0 {
		return
	}
	w.status = status
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.stall + timeFor(size)))
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	size, _ := parseOffset(w.Header().Get("Content-Length"))
	w.begin(status, size)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(p []byte) (int, error) {
	w.begin(http.StatusOK, int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// ReadFrom implements [io.ReaderFrom], by which a file goes to the network without passing through here.
func (w *recorder) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK, 0)
	n, err := io.Copy(w.ResponseWriter, r)
	w.written += n
	return n, err
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
