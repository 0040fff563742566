package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// start serves for the length of a test, and returns the address.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	var log bytes.Buffer
	done := make(chan error, 1)
	go func() {
		p := process{append([]string{"--port", "0", "--grace", "0"}, args...), write, &log, os.Getenv, time.Now}
		err := run(ctx, p)
		write.Close()
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ends with %v\n%s", err, log.String())
		}
	})
	line := make([]byte, 100)
	n, err := read.Read(line)
	if err != nil {
		t.Fatalf("the server printed no address: %v", <-done)
	}
	return strings.TrimSpace(string(line[:n]))
}

func TestWrongFlagsAreErrors(t *testing.T) {
	const good = "--state x --cas-endpoint grpc://cache.test:1 "
	for args, want := range map[string]string{
		"--cas-endpoint grpc://x:1":                 "want --state",
		"--state x":                                 "want --cas-endpoint",
		good + "--commit-mode sometimes":            "want background or per-stream",
		good + "--allow-files relative":             "want an absolute path",
		good + "--allow-registry http://reg.test":   "want HOST",
		good + "--stall-timeout 10ms":               "a second to stand still",
		good + "--jobs 0":                           "one job at least",
		good + "--address 0.0.0.0":                  "anybody could then push with the credentials of this server",
		good + "--address 0.0.0.0 --htpasswd x":     "is reachable from outside",
		good + "--tls-cert x":                       "want --tls-cert and --tls-key together",
		good + "more":                               "want flags only",
		"--state x --cas-endpoint ftp://cache.test": "want grpc://HOST:PORT",
		"status": "want bes status --state",
		good + "--token-file /nowhere --credential-helper x=": "credential helper",
	} {
		t.Run(args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			err := run(t.Context(), process{strings.Fields(args), io.Discard, io.Discard, os.Getenv, time.Now})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error is %v: want %q", err, want)
			}
		})
	}
}

func TestOneServerHasAState(t *testing.T) {
	state := t.TempDir()
	start(t, "--state", state, "--allow-files", state)
	p := process{[]string{"--port", "0", "--state", state, "--allow-files", state}, io.Discard, io.Discard, os.Getenv, time.Now}
	if err := run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "another server has it") {
		t.Errorf("a second server: %v", err)
	}
}

func TestPlaces(t *testing.T) {
	var some places
	for _, s := range []string{"reg.test", "other.test:5000/team/", "docker.io/library"} {
		if err := some.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	for repository, has := range map[string]bool{
		"reg.test/a/b": true, "reg.test.evil/a": false, "other.test:5000/team/a": true, "other.test:5000/team": true, "other.test:5000/teams/a": false, "other.test/team/a": false,
		"index.docker.io/library/debian": true, "index.docker.io/team/a": false,
	} {
		if some.has(repository) != has {
			t.Errorf("%s: %v", repository, !has)
		}
	}
	if none := (places{}); !none.has("any.test/a") {
		t.Error("without places nothing is allowed")
	}
}
