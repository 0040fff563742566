package s3

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// transport is the library's, which waits for ever for a server that stands still in the middle of an answer or of what it is sent.
func transport(secure bool, stall time.Duration) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return attended{c, stall}, nil
	}
	return t, nil
}

// attended is a connection that breaks when it is waited for, and for so long nothing comes and nothing goes.
type attended struct {
	net.Conn
	stall time.Duration
}

func (c attended) Read(p []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.stall))
	return c.Conn.Read(p)
}

func (c attended) Write(p []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.stall))
	return c.Conn.Write(p)
}
