// Package conformance_test runs the OCI distribution conformance suite, at the version that tools/pinned has, against the project's
// registry as a process of its own.
package conformance_test

import (
	"bufio"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"

	_ "github.com/bazel-contrib/rules_img/internal/registry" // so that Go does not take a result from its cache when this changes
)

// groups are what the specification calls its workflows, by the names that the suite has for their parts. Each must be there and
// pass.
var groups = map[string][]string{
	"pull": {
		"Ping", "Blob get", "Blob get range", "Blob head",
		"Manifest get by digest", "Manifest get by tag", "Manifest head by digest", "Manifest head by tag",
	},
	"push": {
		"Blob push", "Blob post only", "Blob post put", "Blob chunked", "Blob streaming", "Blob mount", "Blob anonymous mount",
		"Blob upload cancel", "Manifest put by digest", "Manifest put by tag", "Manifest put with subject", "Manifest put with tag params",
	},
	"content discovery":  {"Tag listing", "Referrers"},
	"content management": {"Tag delete", "Tag delete atomic", "Manifest delete", "Manifest delete atomic", "Blob delete", "Blob delete atomic"},
}

// disabled are the parts that are not run: SHA-512, which is optional and no part of this project, and manifests without all that
// they refer to, which this registry refuses by design.
var disabled = []string{"Blobs sha512", "Digest Algorithm sha512", "Tag Param sha512", "Sparse Manifests"}

func TestConformance(t *testing.T) {
	check(t, runSuite(t, startRegistry(t)))
}

// Blobs are looked for in a remote cache and in a bucket, which takes those that are uploaded.
func TestConformanceOverACacheAndABucket(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	registry := startRegistry(t, "--blob-store", "reapi", "--reapi-endpoint", bazeltest.StartCache(t).GRPC,
		"--blob-store", "s3", "--blob-store", "dir", "--s3-bucket", "images", "--s3-region", "us-east-1", "--s3-endpoint", bazeltest.StartBucket(t, "images"))
	check(t, runSuite(t, registry))
}

// The suite logs in, with a name and password, where the registry tells it to get tokens.
func TestConformanceWithTokens(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(users, []byte("ann:"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := startRegistry(t, "--htpasswd", users, "--issue-tokens")
	check(t, runSuite(t, registry, "OCI_USERNAME=ann", "OCI_PASSWORD=secret"))
}

// check looks at the results of the suite.
func check(t *testing.T, results string) {
	got := readStatuses(t, filepath.Join(results, "results.yaml"))
	for group, parts := range groups {
		t.Run(group, func(t *testing.T) {
			for _, part := range parts {
				if got[part] != "Pass" {
					t.Errorf("%s: %q", part, got[part])
				}
			}
		})
	}
	t.Run("everything else", func(t *testing.T) { checkRest(t, got) })
	checkCases(t, filepath.Join(results, "junit.xml"))
}

func checkRest(t *testing.T, got map[string]string) {
	for _, part := range disabled {
		if got[part] != "Disabled" {
			t.Errorf("%s: %q; want it not to be run", part, got[part])
		}
		delete(got, part)
	}
	for part, status := range got {
		if status != "Pass" {
			t.Errorf("%s: %q", part, status)
		}
	}
}

// checkCases looks at each single test of the suite: all have passed.
func checkCases(t *testing.T, path string) {
	t.Helper()
	var report struct {
		Suites []struct {
			Cases []struct {
				Name   string `xml:"name,attr"`
				Status string `xml:"status,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			if ran++; c.Status != "passed" {
				t.Errorf("%s: %s", c.Name, c.Status)
			}
		}
	}
	if ran < 600 {
		t.Errorf("the suite ran %d tests: it has more", ran)
	}
	t.Logf("the suite ran %d tests", ran)
}

// runSuite returns the folder that has the suite's results. Its exit status says little.
func runSuite(t *testing.T, registry string, environment ...string) string {
	t.Helper()
	tool := exec.Command("../../tools/get-tool", "oci-conformance")
	tool.Stderr = os.Stderr
	path, err := tool.Output()
	if err != nil {
		t.Fatalf("get-tool oci-conformance: %v", err)
	}
	results := t.TempDir()
	suite := exec.Command(strings.TrimSpace(string(path)))
	suite.Dir = results
	suite.Env = append(append(os.Environ(), environment...),
		"OCI_REGISTRY="+registry, "OCI_TLS=disabled", "OCI_VERSION=1.1+dev", "OCI_DATA_SHA512=false",
		"OCI_RESULTS_DIR="+results, "OCI_LOG=error")
	if out, err := suite.CombinedOutput(); err != nil {
		t.Logf("oci-conformance: %v\n%s", err, out)
	}
	return results
}

// readStatuses reads the lists of parts and their statuses out of results.yaml, which has them as "  NAME: STATUS".
func readStatuses(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	statuses, section := map[string]string{}, ""
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\n")
		name, status, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case !strings.HasPrefix(line, " "):
			section = line
		case section == "apis:" || section == "data:":
			statuses[name] = status
		}
	}
	return statuses
}

// startRegistry runs the project's registry for the length of the test and returns its host and port.
func startRegistry(t *testing.T, args ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "registry")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/registry").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	server := exec.Command(binary, append([]string{"--port", "0", "--quiet", "--dir", t.TempDir()}, args...)...)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the registry printed no address: %v", err)
	}
	return strings.TrimSpace(line)
}
