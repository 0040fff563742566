//go:build linux

package daemons_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon/docker"
)

// TestDockerByTLS goes through TCP and TLS with certificates on both sides, as to a Docker on another machine.
func TestDockerByTLS(t *testing.T) {
	d := start(t, "docker-containerd", "forky")
	folder := t.TempDir()
	address := serveTLS(t, folder, d.socket())
	env := map[string]string{"DOCKER_HOST": "tcp://" + address, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": folder}
	c, err := docker.Dial(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	testIncremental(t, c, nil, "tls")
	wantListed(t, d, "tls:one", "tls:two", "tls:again")
}

// serveTLS passes connections on to a socket, from whoever has the certificate that it puts into the folder.
func serveTLS(t *testing.T, folder, socket string) string {
	t.Helper()
	ca := certificate(t, folder, "ca", nil)
	server := certificate(t, folder, "server", &ca)
	certificate(t, folder, "", &ca)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for client, err := l.Accept(); err == nil; client, err = l.Accept() {
			go func() {
				defer client.Close()
				to, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				defer to.Close()
				go func() { io.Copy(to, client); to.(*net.UnixConn).CloseWrite() }()
				io.Copy(client, to)
			}()
		}
	}()
	return l.Addr().String()
}

// certificate makes a certificate of a kind, by ca or else by itself, and writes it where docker's command would look for it:
// ca.pem, or cert.pem and key.pem for a client, whose kind is empty.
func certificate(t *testing.T, folder, kind string, ca *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: kind + " test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	made := tls.Certificate{PrivateKey: key, Leaf: template}
	signer := ca
	if signer == nil {
		signer = &made
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Leaf, &key.PublicKey, signer.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	made.Certificate = [][]byte{der}
	if made.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "ca":
		writePEM(t, filepath.Join(folder, "ca.pem"), "CERTIFICATE", der)
	case "":
		writePEM(t, filepath.Join(folder, "cert.pem"), "CERTIFICATE", der)
		writePEM(t, filepath.Join(folder, "key.pem"), "EC PRIVATE KEY", private)
	}
	return made
}

func writePEM(t *testing.T, path, kind string, body []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}), 0o600); err != nil {
		t.Fatal(err)
	}
}
