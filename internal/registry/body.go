package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errBody is wrapped by the errors of reading a request.
var errBody = errors.New("the request did not arrive as a whole")

// slowest is how many bytes a second a body must have on average, besides the time for which it may stand still.
const slowest = 16 << 10

// body is the request's body, which fails when it stands still or arrives too slowly.
func (c call) body() io.Reader {
	return &timed{c.r.Body, http.NewResponseController(c.w), c.Stall, time.Now().Add(c.Stall)}
}

type timed struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
	until   time.Time // what has arrived was fast enough for this
}

func (t *timed) Read(p []byte) (int, error) {
	deadline := time.Now().Add(t.stall)
	if t.until.Before(deadline) {
		deadline = t.until
	}
	t.control.SetReadDeadline(deadline)
	n, err := t.r.Read(p)
	t.until = t.until.Add(time.Duration(n) * (time.Second / slowest))
	if err == io.EOF {
		t.control.SetReadDeadline(time.Time{}) // or it would end the request while it is being answered
	} else if err != nil {
		err = fmt.Errorf("%w: %w", errBody, err)
	}
	return n, err
}

// readAll reads a body of up to limit bytes.
func (c call) readAll(limit int64) ([]byte, error) {
	tooLarge := &problem{http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("a manifest may have %d bytes", limit)}
	if c.r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(c.body(), limit+1))
	if err == nil && int64(len(body)) > limit {
		err = tooLarge
	}
	return body, err
}
