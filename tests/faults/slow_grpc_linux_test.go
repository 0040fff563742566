package faults_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/bazel-contrib/rules_img/proto/blobcache"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
	"github.com/bazel-contrib/rules_img/tests/memory"
)

// mute are beginnings after which a client says nothing any more.
func mute(method string) map[string]string {
	call := calling(method)
	message := frame(0, 0, 1, "\x00\x00\x00\x40\x00"+strings.Repeat("x", 16<<10))
	return map[string]string{
		"no byte": "", "half a greeting": hello[:10], "half of its settings": hello[:len(hello)-3], "no stream": hello,
		"half of its headers": hello + call[:len(call)/2], "a stream without a message": hello + call, "half a message": hello + call + message[:100],
	}
}

// grpcServer is a service that speaks gRPC.
type grpcServer struct {
	host, method string
	process      *exec.Cmd
	serve        func(t *testing.T) // wants somebody else to be served
}

// grpcServers are all of them, with how long they wait.
func grpcServers(t *testing.T, stall string) map[string]grpcServer {
	t.Helper()
	all, state := newBuilds(t), t.TempDir()
	service, registry := besOn(state, all.files, "--stall-timeout", stall), registryOn(t.TempDir(), "--stall-timeout", stall, "--enable-blobcache", "--grpc-port", "0")
	events, _, _ := startServer(t, service)
	commits, _, _ := startServers(t, registry, 2)
	return map[string]grpcServer{
		"build events": {events, "/google.devtools.build.v1.PublishBuildEvent/PublishBuildToolEventStream", service, func(t *testing.T) {
			bazeltest.Must(t, all.next(t, "build", 4).send(t.Context(), dial(t, events)))
			all.wantPushed(t, state, "build", 4)
		}},
		"commits": {commits[1], blobcache.CommitMethod, registry, func(t *testing.T) {
			_, err := blobcache.Commit(t.Context(), connect(t, commits[1]), &blobcache.CommitRequest{Repository: "app"})
			bazeltest.Must(t, err)
		}},
	}
}

// TestClientsOfGRPCThatStandStill are cut, wherever they do, and however often they send a byte.
func TestClientsOfGRPCThatStandStill(t *testing.T) {
	t.Parallel()
	wrong, all := make(chan string), 0
	for name, s := range grpcServers(t, "1s") {
		for beginning, text := range mute(s.method) {
			for _, slowly := range []bool{false, true} {
				all++
				go func() {
					if !isCut(s.host, text, slowly) {
						wrong <- fmt.Sprintf("%s: %s (and then byte after byte: %v): it is not cut", name, beginning, slowly)
					}
					wrong <- ""
				}()
			}
		}
	}
	for all > 0 {
		if text := <-wrong; text != "" {
			t.Error(text)
		} else {
			all--
		}
	}
}

// TestClientsOfGRPCThatWantNothing answer when they are asked whether they live, and are not kept for that.
func TestClientsOfGRPCThatWantNothing(t *testing.T) {
	t.Parallel()
	for name, s := range grpcServers(t, "1s") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			conn := connect(t, s.host)
			conn.Connect()
			for state := connectivity.Idle; state != connectivity.Ready; state = conn.GetState() {
				conn.WaitForStateChange(ctx, state)
			}
			if !conn.WaitForStateChange(ctx, connectivity.Ready) {
				t.Error("a connection that nobody uses is kept")
			}
		})
	}
}

// TestManyClientsOfGRPCThatDoNothing leave a service to those who do, and take little of its memory.
func TestManyClientsOfGRPCThatDoNothing(t *testing.T) {
	t.Parallel()
	for name, s := range grpcServers(t, "1m") {
		for _, text := range mute(s.method) {
			for range 100 {
				c, err := net.Dial("tcp", s.host)
				bazeltest.Must(t, err)
				defer c.Close()
				_, err = io.WriteString(c, text)
				bazeltest.Must(t, err)
			}
		}
		s.serve(t)
		if peak := memory.PeakOf(s.process.Process.Pid); peak == 0 || peak>>20 > 100 {
			t.Errorf("%s: it takes %d MiB: want at most 100", name, peak>>20)
		}
	}
}
