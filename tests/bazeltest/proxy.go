package bazeltest

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands in front of a server and counts the bytes.
type Proxy struct {
	Address  string // host:port
	down, up atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool // of clients
}

// StartProxy starts a proxy in front of an address, for the length of the test.
func StartProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	t.Cleanup(func() { l.Close() })
	p := &Proxy{Address: l.Addr().String(), conns: map[net.Conn]bool{}}
	if _, host, ok := strings.Cut(address, "://"); ok {
		address = host
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client, address)
		}
	}()
	return p
}

func (p *Proxy) serve(client net.Conn, address string) {
	p.note(client, true)
	defer p.note(client, false)
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(counting{server, &p.up}, client)
		server.Close()
	}()
	io.Copy(counting{client, &p.down}, server)
}

func (p *Proxy) note(client net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.conns[client] = true
	} else {
		delete(p.conns, client)
	}
}

// Cut breaks the connections that there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.conns {
		client.Close()
	}
}

// Down returns how many bytes came from the server since the last call.
func (p *Proxy) Down() int64 { return p.down.Swap(0) }

// Up returns how many bytes went to the server since the last call.
func (p *Proxy) Up() int64 { return p.up.Swap(0) }

type counting struct {
	io.Writer
	n *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}
