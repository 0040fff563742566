//go:build linux

package daemons_test

import (
	"errors"
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
	cut  int64 // if not 0, how many bytes are sent before every connection breaks
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
		if _, err := io.Copy(server, io.TeeReader(client, p)); errors.Is(err, errCut) {
			server.Close()
			client.Close()
			return
		}
		server.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(client, server)
}

var errCut = errors.New("cut by the test")

// Write counts.
func (p *proxy) Write(b []byte) (int, error) {
	if sent := p.sent.Add(int64(len(b))); p.cut > 0 && sent > p.cut {
		return 0, errCut
	}
	return len(b), nil
}

// during is how many bytes were sent while do ran.
func (p *proxy) during(do func()) int64 {
	before := p.sent.Load()
	do()
	return p.sent.Load() - before
}
