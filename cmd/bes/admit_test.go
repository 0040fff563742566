package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

const token = "fedcba98765432100123456789abcdef"

// certificate writes a certificate for example.com and its key, and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		write(t, filepath.Join(dir, name), pem.EncodeToMemory(block))
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyThoseWhoAreKnownAreHeard(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	tokens := filepath.Join(dir, "tokens")
	write(t, tokens, []byte(token+"\n"))
	address := start(t, "--state", t.TempDir(), "--allow-files", dir, "--token-file", tokens,
		"--tls-cert", filepath.Join(dir, "cert"), "--tls-key", filepath.Join(dir, "key"))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "example.com")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := buildpb.NewPublishBuildEventClient(conn)
	for name, c := range map[string]struct {
		header string
		event  codes.Code // of a lifecycle event
		stream codes.Code // of one that has no events
	}{
		"a token":       {"Bearer " + token, codes.OK, codes.OK},
		"a wrong token": {"Bearer " + token + "0", codes.Unauthenticated, codes.Unauthenticated},
		"nothing":       {"", codes.Unauthenticated, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Context(t.Context())
			if c.header != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.header)
			}
			if _, err := client.PublishLifecycleEvent(ctx, &buildpb.PublishLifecycleEventRequest{}); status.Code(err) != c.event {
				t.Errorf("an event: %v", err)
			}
			stream, err := client.PublishBuildToolEventStream(ctx)
			if err != nil {
				t.Fatal(err)
			}
			stream.CloseSend()
			_, err = stream.Recv()
			if got := status.Code(err); got != c.stream && !(c.stream == codes.OK && err.Error() == "EOF") {
				t.Errorf("a stream: %v", err)
			}
		})
	}
	// Who is not known is told so before a message is read: none is sent here.
	soon, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	early, err := conn.NewStream(soon, &grpc.StreamDesc{ClientStreams: true}, "/google.devtools.build.v1.PublishBuildEvent/PublishLifecycleEvent")
	if err != nil {
		t.Fatal(err)
	}
	if err := early.RecvMsg(new(emptypb.Empty)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an event without its message is answered with %v", err)
	}
	large := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "x", strings.Repeat("x", 100<<10))
	if _, err := client.PublishLifecycleEvent(large, &buildpb.PublishLifecycleEventRequest{}); err == nil {
		t.Error("headers of 100 KiB are taken")
	}
}

func TestGuessesAreInTheLog(t *testing.T) {
	known, err := auth.ParseTokens(token)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	come := admit(&auth.Gate{Tokens: known}, slog.New(slog.NewTextHandler(&log, nil)))
	for _, shown := range []string{token, "guess"} {
		_, err := come(t.Context(), &tap.Info{FullMethodName: "/x/" + shown[:2], Header: metadata.Pairs("authorization", "Bearer "+shown)})
		if (err == nil) != (shown == token) {
			t.Errorf("%s: %v", shown, err)
		}
	}
	if got := log.String(); !strings.Contains(got, `msg=/x/gu error="not admitted"`) || strings.Contains(got, "/x/fe") || strings.Contains(got, "guess") {
		t.Errorf("the log is %q", got)
	}
}
