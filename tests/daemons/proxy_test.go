//go:build linux

package daemons_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// proxy listens on a socket in front of another, and counts the bytes that clients send.
type proxy struct {
	path string
	sent atomic.Int64
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "img-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{path: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn, to)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, io.TeeReader(client, counter{&p.sent}))
		server.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(client, server)
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

// during is how many bytes were sent while do ran.
func (p *proxy) during(do func()) int64 {
	before := p.sent.Load()
	do()
	return p.sent.Load() - before
}
