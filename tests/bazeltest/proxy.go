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
	cut   *cut
}

// cut breaks the connection over which byte number left would come, in one of the directions.
type cut struct {
	up   bool
	left int64
	ever bool // and all later ones
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
		io.Copy(counting{server, &p.up, func(n int) (int, bool) { return p.pass(true, n) }}, client)
		server.Close()
		client.Close() // as a line that breaks does
	}()
	io.Copy(counting{client, &p.down, func(n int) (int, bool) { return p.pass(false, n) }}, server)
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

// CutAfter breaks, of the connections to come, the one over which byte number n comes from the server or, with up, goes to it; with ever, all
// from there on.
func (p *Proxy) CutAfter(n int64, up, ever bool) {
	p.Cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = &cut{up, n, ever}
}

// pass says how many of n bytes get through, and whether the connection lives on.
func (p *Proxy) pass(up bool, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == nil || p.cut.up != up {
		return n, true
	}
	if p.cut.left -= int64(n); p.cut.left >= 0 {
		return n, true
	}
	through := max(0, n+int(p.cut.left))
	if !p.cut.ever {
		p.cut = nil
	}
	return through, false
}

// Down returns how many bytes came from the server since the last call.
func (p *Proxy) Down() int64 { return p.down.Swap(0) }

// Up returns how many bytes went to the server since the last call.
func (p *Proxy) Up() int64 { return p.up.Swap(0) }

type counting struct {
	io.Writer
	n    *atomic.Int64
	pass func(n int) (through int, lives bool)
}

func (c counting) Write(b []byte) (int, error) {
	through, lives := c.pass(len(b))
	n, err := c.Writer.Write(b[:through])
	c.n.Add(int64(n))
	if err == nil && !lives {
		err = net.ErrClosed
	}
	return n, err
}
