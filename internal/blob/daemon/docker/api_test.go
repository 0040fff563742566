package docker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestALoadFailsWhenTheDaemonSaysSoOrStops(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for said, want := range map[string]string{
		"":                          "",
		"plain words\n":             "",
		`{"stream":"Loaded image"}`: "",
		`{"error":"` + long + `"}`:  long,
		"{\"stream\":\"Error unpacking image a\\n\"}\n{\"stream\":\"Loaded image\"}": "Error unpacking image a",
		`{"stream":"` + strings.Repeat(long, 11) + `"}`:                              "token too long",
	} {
		err := outcome(strings.NewReader(said))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.50q: error is %.50v; want %.50q", said, err, want)
		}
	}
	broken := io.MultiReader(strings.NewReader("{\"stream\":\"Loading\"}\n"), errorReader{})
	if err := outcome(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connection that broke: %v", err)
	}
}

// TestAnUpgradeEndsWithItsContext: gRPC waits for who dials, whatever its own limit is.
func TestAnUpgradeEndsWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		http.ReadRequest(bufio.NewReader(theirs))
		cancel()
	}()
	if _, err := upgrade(ctx, ours); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func FuzzOutcome(f *testing.F) {
	f.Add("{\"stream\":\"Loading\"}\n{\"error\":\"no space left\"}\n")
	f.Add("[[[\n{}")
	f.Fuzz(func(t *testing.T, said string) {
		if err := outcome(strings.NewReader(said)); err == nil && strings.HasPrefix(said, `{"error":"no"}`+"\n") {
			t.Error("an error was overlooked")
		}
	})
}
