package faults_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestClientsThatSendTheirHeadersSlowly are cut, however often they send a byte. Bodies are in internal/registry.
func TestClientsThatSendTheirHeadersSlowly(t *testing.T) {
	host, log, stop := startServer(t, registryOn(t.TempDir(), "--stall-timeout", "300ms"))
	for _, beginning := range []string{"", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: "} {
		c, err := net.Dial("tcp", host)
		bazeltest.Must(t, err)
		defer c.Close()
		go func() {
			for _, err := io.WriteString(c, beginning); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(20 * time.Millisecond)
			}
		}()
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Errorf("%q and then byte after byte: it is not cut", beginning)
			}
		}
	}
	stop()
	if log.Len() > 2000 {
		t.Errorf("the log says: %s", log)
	}
}

// TestClientsOfHTTP2ThatStandStill are cut, too. Their requests are frames, some of which are no request yet.
func TestClientsOfHTTP2ThatStandStill(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	trusted := certificate(t, folder)
	host, _, _ := startServer(t, registryOn(t.TempDir(), "--stall-timeout", "1s", "--tls-cert", folder+"/cert", "--tls-key", folder+"/key"))
	upload := calling("/v2/app/blobs/uploads/?digest=" + string(oci.DigestOf(nil)))
	for name, text := range map[string]string{
		"half a greeting": hello[:10], "half of its settings": hello[:len(hello)-3], "no request": hello, "half of its headers": hello + upload[:len(upload)/2],
		"a request without its body": hello + upload, "half a body": hello + upload + frame(0, 0, 1, "half"), "half a frame": hello + upload + frame(0, 0, 1, strings.Repeat("x", 10_000))[:100],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := tls.Dial("tcp", host, &tls.Config{RootCAs: trusted, ServerName: "example.com", NextProtos: []string{"h2"}})
			bazeltest.Must(t, err)
			if !ends(c, text, false) {
				t.Error("it is not cut")
			}
		})
	}
}

// certificate writes one for example.com, and its key, and returns who trusts it.
func certificate(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	bazeltest.Must(t, err)
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		bazeltest.Must(t, os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600))
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	return trusted
}

// TestNobodyHoldsOnToWhatIsBeside has small services that the servers have beside what they are for. They are not held by a body that does not
// come, nor by answers that are not taken.
func TestNobodyHoldsOnToWhatIsBeside(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	bazeltest.Must(t, os.WriteFile(tokens, []byte("fedcba98765432100123456789abcdef\n"), 0o600))
	beside := []string{"--stall-timeout", "1s", "--metrics-port", "0"}
	registry, _, _ := startServers(t, registryOn(t.TempDir(), append(beside, "--token-file", tokens, "--issue-tokens")...), 2)
	service, _, _ := startServers(t, besOn(t.TempDir(), t.TempDir(), beside...), 2)
	for name, url := range map[string][2]string{
		"tokens": {registry[0], "/token"}, "metrics of the registry": {registry[1], "/metrics"}, "metrics of build events": {service[1], "/metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := "GET " + url[1] + " HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
			if !isCut(url[0], fmt.Sprintf(request, 100), false) {
				t.Error("a request without its body is not cut")
			}
			c, err := net.Dial("tcp", url[0])
			bazeltest.Must(t, err)
			defer c.Close()
			c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			for many := strings.Repeat(fmt.Sprintf(request, 0), 1000); err == nil; { // until the server is gone, or takes no more
				_, err = io.WriteString(c, many)
			}
			if os.IsTimeout(err) {
				t.Error("a client that takes no answers is not cut")
			}
		})
	}
}

// TestManyClientsThatDoNothing leave a registry to those who do.
func TestManyClientsThatDoNothing(t *testing.T) {
	host, _, _ := startServer(t, registryOn(t.TempDir()))
	for range 500 {
		c, err := net.Dial("tcp", host)
		bazeltest.Must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nx")
		bazeltest.Must(t, err)
	}
	push, root := planned(t, t.TempDir(), host, 1000)
	mustRun(t, push())
	if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
		t.Errorf("latest is %s, %v", got.Digest, err)
	}
}

// isCut says what begins, and then nothing or, slowly, byte after byte. It reports whether the server ends the connection.
func isCut(host, beginning string, slowly bool) bool {
	c, err := net.Dial("tcp", host)
	return err == nil && ends(c, beginning, slowly)
}

func ends(c net.Conn, beginning string, slowly bool) bool {
	defer c.Close()
	go func() {
		for _, err := io.WriteString(c, beginning); slowly && err == nil; _, err = io.WriteString(c, "x") {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := io.Copy(io.Discard, c)
	return !os.IsTimeout(err)
}

// frame is one of HTTP/2.
func frame(kind, flags, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}) + payload
}

// calling begins to call a method of gRPC, or to post something, and sends no body.
func calling(method string) string {
	var headers strings.Builder
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		fmt.Fprintf(&headers, "\x00%c%s%c%s", len(h[0]), h[0], len(h[1]), h[1])
	}
	return frame(1, 4, 1, headers.String())
}

// hello begins each connection: what HTTP/2 has for that, and a frame of settings.
var hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "")
