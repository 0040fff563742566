package main

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// TestExampleCanBeFilledIn keeps examples/hello and the demo together: each attribute that the demo sets is there once.
func TestExampleCanBeFilledIn(t *testing.T) {
	d := demo{root: "../..", registry: &meter{address: "127.0.0.1:5000"}, bazel: bazel{workspace: t.TempDir()}}
	if err := d.writeWorkspace(image{repository: "base", tag: "t", digest: "sha256:0123"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(d.bazel.workspace + "/MODULE.bazel")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`path = "../.."`, `digest = "sha256:0123"`, `registry = "127.0.0.1:5000"`, `repository = "base"`, `tag = "t"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("MODULE.bazel has no %s:\n%s", want, b)
		}
	}
}

func TestAttributeThatIsNotThereOnceIsAnError(t *testing.T) {
	for _, file := range []string{"", "    digest = \"a\",\n    digest = \"b\",\n"} {
		if out, err := setAttribute([]byte(file), "digest", "c"); err == nil {
			t.Errorf("%q became %q", file, out)
		}
	}
}

func TestMeterCountsBothDirections(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		c, err := server.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.ReadAll(c) // ends when the client has ended its side, which the meter must pass on
		io.WriteString(c, "answer")
	}()
	m, err := startMeter(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	client, err := net.Dial("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	io.WriteString(client, "question?")
	client.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.read(), (traffic{up: 9, down: 6}); string(answer) != "answer" || got != want {
		t.Errorf("got %q and counted %+v: want %+v", answer, got, want)
	}
}

func TestAmountsAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 5800: "5.8 kB", 12_500_000: "12.5 MB"} {
		if got := amount(n); got != want {
			t.Errorf("amount(%d) is %q: want %q", n, got, want)
		}
	}
}
