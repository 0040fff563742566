package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"
)

const token = "fedcba98765432100123456789abcdef"

// secrets are files for the flags, and a transport that trusts the certificate.
type secrets struct {
	cert, key, htpasswd, tokens string
	transport                   *http.Transport
}

func makeSecrets(t *testing.T) secrets {
	t.Helper()
	dir := t.TempDir()
	s := secrets{filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "htpasswd"), filepath.Join(dir, "tokens"), nil}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.htpasswd, "ann:"+string(hash)+"\n")
	write(t, s.tokens, token+"\n")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	write(t, s.cert, string(public))
	write(t, s.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	s.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return s
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPushAndPullByThoseWhoAreKnown(t *testing.T) {
	s := makeSecrets(t)
	plain := start(t, "--dir", t.TempDir(), "--htpasswd", s.htpasswd, "--token-file", s.tokens)
	issuing := start(t, "--dir", t.TempDir(), "--htpasswd", s.htpasswd, "--token-file", s.tokens, "--issue-tokens",
		"--tls-cert", s.cert, "--tls-key", s.key)
	ann := &authn.Basic{Username: "ann", Password: "secret"}
	for _, c := range []struct {
		name, host string
		as         authn.Authenticator
		known      bool
	}{
		{"a user", plain.host, ann, true},
		{"a wrong password", plain.host, &authn.Basic{Username: "ann", Password: "wrong"}, false},
		{"nobody", plain.host, authn.Anonymous, false},
		{"a token as a password", plain.host, &authn.Basic{Username: "x", Password: token}, true},
		{"a user who gets a token, by HTTPS", issuing.host, ann, true},
		{"a wrong password, by HTTPS", issuing.host, &authn.Basic{Username: "ann", Password: "wrong"}, false},
		{"nobody, by HTTPS", issuing.host, authn.Anonymous, false},
		{"a token, by HTTPS", issuing.host, authn.FromConfig(authn.AuthConfig{RegistryToken: token}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := pushAndPull(t, c.host, remote.WithAuth(c.as), remote.WithTransport(s.transport)); (err == nil) != c.known {
				t.Errorf("push and pull: %v", err)
			}
		})
	}
}

func pushAndPull(t *testing.T, host string, options ...remote.Option) error {
	t.Helper()
	ref, err := name.ParseReference(host + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, append(options, once)...); err != nil {
		return err
	}
	_, err = remote.Image(ref, append(options, once)...)
	return err
}

// Of several processes over one directory any may be asked, as behind a load balancer, and one that is started again.
func TestATokenIsGoodAtAllProcesses(t *testing.T) {
	args := []string{"--dir", t.TempDir(), "--htpasswd", makeSecrets(t).htpasswd, "--issue-tokens"}
	one, other := start(t, args...), start(t, args...)
	ask, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+one.host+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.SetBasicAuth("ann", "secret")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct{ Token string }
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for _, s := range []server{one, other, start(t, args...)} {
		if err := pushAndPull(t, s.host, remote.WithAuth(authn.FromConfig(authn.AuthConfig{RegistryToken: got.Token}))); err != nil {
			t.Error(err)
		}
	}
}

// Whoever looks for guesses of passwords finds them, wherever they are tried.
func TestGuessesAreInTheLog(t *testing.T) {
	s := start(t, "--dir", t.TempDir(), "--htpasswd", makeSecrets(t).htpasswd, "--issue-tokens")
	for _, path := range []string{"/v2/", "/token?service=registry"} {
		say(t, s.host, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uOmd1ZXNz\r\nConnection: close\r\n\r\n")
	}
	s.Process.Kill()
	s.Wait()
	for _, want := range []string{`msg="GET /v2/" status=401`, `msg="GET /token?service=registry" status=401`} {
		if lines := fmt.Sprint(s.log); !strings.Contains(lines, want) || strings.Contains(lines, "guess") {
			t.Errorf("want %s in the log:\n%s", want, lines)
		}
	}
}

// Who is not known is told so before the body: a client that waits for leave to send it is never given leave.
func TestABodyIsNotReadBeforeItsSenderIsKnown(t *testing.T) {
	s := start(t, "--dir", t.TempDir(), "--htpasswd", makeSecrets(t).htpasswd)
	c, err := net.Dial("tcp", s.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "POST /v2/a/blobs/uploads/?digest=sha256:x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), `"UNAUTHORIZED"`) || answer.Header.Get("Www-Authenticate") == "" {
		t.Errorf("it is answered with %s, %v\n%s", answer.Status, answer.Header, body)
	}
}

func TestTheWorldMayOnlyComeInSafely(t *testing.T) {
	for args, safe := range map[string]bool{
		"--tls-cert c --tls-key k --htpasswd h":   true,
		"--tls-cert c --tls-key k --token-file t": true,
		"--insecure-listen":                       true,
		"--tls-cert c --tls-key k":                false,
		"--htpasswd h":                            false,
		"--address ::1":                           true,
		"--address localhost":                     true,
	} {
		_, err := parseFlags(process{strings.Fields("--dir x --address 0.0.0.0 " + args), io.Discard, io.Discard, os.Getenv})
		if (err == nil) != safe {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestFilesOfSecretsAreChecked(t *testing.T) {
	s := makeSecrets(t)
	for args, want := range map[string]string{
		"--tls-cert c": "--tls-cert and --tls-key together",
		"--tls-cert " + s.cert + " --tls-key " + s.htpasswd: "--tls-key=",
		"--htpasswd " + s.tokens:                            "tokens: line 1",
		"--token-file " + s.cert + ".not":                   "no such file",
		"--issue-tokens":                                    "want --htpasswd or --token-file",
		"--htpasswd x --token-realm y":                      "want --issue-tokens",
	} {
		out, err := command(append([]string{"--port", "0", "--dir", t.TempDir()}, strings.Fields(args)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s; want %q", args, err, out, want)
		}
	}
}
