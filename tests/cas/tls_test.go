package cas_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// certificate makes one for this machine, that nobody trusts yet.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	bazeltest.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cache"}, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	bazeltest.Must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	bazeltest.Must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	bazeltest.Must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	bazeltest.Must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

func TestAPushReadsOverTLS(t *testing.T) {
	cert, key := certificate(t)
	cache := bazeltest.StartCache(t, "--tls_cert_file", cert, "--tls_key_file", key)
	cache.HTTP = strings.Replace(cache.HTTP, "http:", "https:", 1)
	host := strings.TrimPrefix(cache.GRPC, "grpc://")
	bodies := [][]byte{blobtest.Bytes("secure", 200_000)}
	fill(t, cache, bodies...)
	for _, endpoint := range []string{"grpcs://" + host, host, cache.HTTP} {
		plan := lazyPlan(t, bazeltest.StartRegistry(t), bodies)
		_, said, err := push(t, plan, "IMG_REAPI_ENDPOINT="+endpoint)
		if err == nil || !strings.Contains(said, "hint: the remote cache's certificate is not trusted") {
			t.Errorf("%s, without trust: %v\n%s", endpoint, err, said)
		}
		if _, said, err := push(t, plan, "IMG_REAPI_ENDPOINT="+endpoint, "SSL_CERT_FILE="+cert); err != nil {
			t.Errorf("%s: %v\n%s", endpoint, err, said)
		}
	}
}

func TestAPushSaysThatTheCacheHasNoTLS(t *testing.T) {
	cache := bazeltest.StartCache(t)
	bodies := [][]byte{blobtest.Bytes("plain", 200_000)}
	_, said, err := push(t, lazyPlan(t, bazeltest.StartRegistry(t), bodies), "IMG_REAPI_ENDPOINT="+strings.TrimPrefix(cache.GRPC, "grpc://"))
	if err == nil || !strings.Contains(said, "a cache without TLS is grpc://HOST:PORT") {
		t.Errorf("%v\n%s", err, said)
	}
}
