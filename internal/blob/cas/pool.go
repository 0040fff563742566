package cas

import (
	"cmp"
	"errors"
	"sync"

	"google.golang.org/grpc"
)

// busy is how many calls one connection carries before another is made: one TCP connection is one congestion window, and
// often one thread of the server.
const busy = 4

// pool are connections to one cache.
type pool struct {
	dial func() (*grpc.ClientConn, error)
	max  int

	mu    sync.Mutex
	conns []*pooled
}

type pooled struct {
	*grpc.ClientConn
	calls int
}

// first makes a connection, which is only established when it is used, to find out early what can't work.
func (p *pool) first() error {
	p.max = cmp.Or(p.max, 4)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.add()
	return err
}

// get returns the connection with the fewest calls. done must be called when the call is over.
func (p *pool) get() (conn grpc.ClientConnInterface, done func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) == 0 {
		return nil, nil, errors.New("remote cache: closed")
	}
	least := p.conns[0]
	for _, c := range p.conns {
		if c.calls < least.calls {
			least = c
		}
	}
	if least.calls >= busy && len(p.conns) < p.max {
		if least, err = p.add(); err != nil {
			return nil, nil, err
		}
	}
	least.calls++
	return least, sync.OnceFunc(func() { p.release(least) }), nil
}

func (p *pool) add() (*pooled, error) {
	conn, err := p.dial()
	if err != nil {
		return nil, err
	}
	c := &pooled{ClientConn: conn}
	p.conns = append(p.conns, c)
	return c, nil
}

func (p *pool) release(c *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.calls--
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns = nil
	return errors.Join(errs...)
}
