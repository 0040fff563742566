package scene

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

// Tap stands between clients and a server and counts bytes.
type Tap struct {
	Address  string // host:port
	down, up atomic.Int64
}

// OpenTap stands before a server, a host:port with or without a scheme, until ctx ends.
func OpenTap(ctx context.Context, server string) (*Tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	if _, host, ok := strings.Cut(server, "://"); ok {
		server = host
	}
	t := &Tap{Address: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go t.serve(client, server)
		}
	}()
	return t, nil
}

func (t *Tap) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(counting{server, &t.up}, client)
		server.Close()
	}()
	io.Copy(counting{client, &t.down}, server)
}

// Reset returns how many bytes came from the server and went to it since the last call.
func (t *Tap) Reset() (down, up int64) { return t.down.Swap(0), t.up.Swap(0) }

type counting struct {
	io.Writer
	n *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}
