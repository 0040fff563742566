package front

import (
	"flag"
	"fmt"
	"net"
	"strconv"
)

// Metrics is where a server tells what it does, to everybody there.
type Metrics struct {
	address string
	port    int
}

// Add declares the flags.
func (m *Metrics) Add(flags *flag.FlagSet) {
	flags.StringVar(&m.address, "metrics-address", "127.0.0.1", "`address` for metrics, which everybody there may read")
	flags.IntVar(&m.port, "metrics-port", -1, "`port` for metrics of Prometheus at /metrics; 0 is any that is free, and -1 none")
}

// Check says what is wrong with the flags.
func (m Metrics) Check() error {
	if m.port < -1 || m.port > 65535 {
		return fmt.Errorf("--metrics-port=%d: is none", m.port)
	}
	return nil
}

// Listen starts to listen, if that is asked for.
func (m Metrics) Listen() (net.Listener, error) {
	if m.port < 0 {
		return nil, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(m.address, strconv.Itoa(m.port)))
	if err != nil {
		return nil, fmt.Errorf("--metrics-port: %w", err)
	}
	return l, nil
}
