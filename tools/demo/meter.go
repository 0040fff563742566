package main

import (
	"net"
	"sync"
	"sync/atomic"
)

// meter stands before the registry and counts every byte that passes, protocol and all. It knows nothing of what it
// counts, so neither side can be wrong about it.
type meter struct {
	address  string // host:port, where clients find the registry
	up, down atomic.Int64

	listener net.Listener
	target   string
}

// traffic is what went to the registry and what came from it.
type traffic struct{ up, down int64 }

func startMeter(target string) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{address: l.Addr().String(), listener: l, target: target}
	go m.accept()
	return m, nil
}

// since is the traffic after an earlier reading.
func (m *meter) since(before traffic) traffic {
	return traffic{m.up.Load() - before.up, m.down.Load() - before.down}
}

func (m *meter) read() traffic { return m.since(traffic{}) }

func (m *meter) stop() { m.listener.Close() }

func (m *meter) accept() {
	for {
		client, err := m.listener.Accept()
		if err != nil {
			return
		}
		go m.forward(client)
	}
}

func (m *meter) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", m.target)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { pass(server, client, &m.up) })
	both.Go(func() { pass(client, server, &m.down) })
	both.Wait()
}

// pass copies one direction to its end, and ends it on the other side too.
func pass(to, from net.Conn, count *atomic.Int64) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		count.Add(int64(n))
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			break
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		half.CloseWrite()
	}
}
