package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"img": main})
}

// TestDeployScripts runs the scripts in testdata/deploy: the real binary against a real registry. Beside the usual commands they have
//
//	registry VAR [plain|password|tls|stuck|readonly PREFIX]   run a registry, set VAR to its address (and SSL_CERT_FILE for tls)
//	image NAME SEED/SIZE...                             make an image with such layers, whose bytes depend on the seed
//	plan FILE NAME=REGISTRY/REPOSITORY[:TAG,TAG]...     plan a push of each image
func TestDeployScripts(t *testing.T) {
	olareg := remotetest.Olareg(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/deploy",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RUNFILES_DIR", e.WorkDir)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Values[imagesKey{}] = map[string]oci.Descriptor{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": func(ts *testscript.TestScript, _ bool, args []string) { startRegistry(ts, olareg, args) },
			"image":    func(ts *testscript.TestScript, _ bool, args []string) { makeImage(t, ts, args) },
			"plan":     func(ts *testscript.TestScript, _ bool, args []string) { makePlan(ts, args) },
		},
	})
}

type imagesKey struct{}

func images(ts *testscript.TestScript) map[string]oci.Descriptor {
	return ts.Value(imagesKey{}).(map[string]oci.Descriptor)
}

func startRegistry(ts *testscript.TestScript, behind string, args []string) {
	kind := strings.Join(args[1:], " ")
	proxy := &remotetest.Proxy{Registry: behind, Fault: faultOf(kind)}
	server := httptest.NewUnstartedServer(proxy.Handler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what some scripts want
	if kind == "tls" {
		server.StartTLS()
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), certificate, 0o644))
	} else {
		server.Start()
	}
	ts.Defer(server.Close)
	_, address, _ := strings.Cut(server.URL, "://")
	ts.Setenv(args[0], address)
}

func faultOf(kind string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		user, pass, _ := r.BasicAuth()
		prefix, readonly := strings.CutPrefix(kind, "readonly ")
		switch {
		case kind == "stuck" && r.Method == "PUT":
			io.Copy(io.Discard, r.Body) // only then does the server notice that the client left
			<-r.Context().Done()
			return true
		case kind == "password" && (user != "user" || pass != "right-secret"):
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
			return true
		case readonly && r.Method == "POST" && strings.HasPrefix(r.URL.Path, "/v2/"+prefix):
			http.Error(w, `{"errors":[{"code":"DENIED","message":"read-only"}]}`, http.StatusForbidden)
			return true
		}
		return false
	}
}

func makeImage(t *testing.T, ts *testscript.TestScript, args []string) {
	var layers [][]byte
	for _, spec := range args[1:] {
		seed, size, _ := strings.Cut(spec, "/")
		n, err := strconv.Atoi(size)
		ts.Check(err)
		layers = append(layers, blobtest.Bytes(seed, n))
	}
	store := dir.Store{Root: ts.MkAbs("."), Volatile: true}
	images(ts)[args[0]] = blobtest.Image(t, store, oci.Platform{OS: "linux", Architecture: "amd64"}, layers...)
}

// makePlan names every blob in the directory: more than a real plan, which does no harm.
func makePlan(ts *testscript.TestScript, args []string) {
	plan := deploy.Plan{Version: deploy.Version, Name: "//:" + args[0]}
	for _, spec := range args[1:] {
		image, where, _ := strings.Cut(spec, "=")
		ref, tags, _ := strings.Cut(where, "+")
		registry, repository, _ := strings.Cut(ref, "/")
		op := deploy.Operation{
			Kind: deploy.KindPush, Name: "//:" + image, Root: images(ts)[image], Registry: registry, Repository: repository, Strategy: "eager",
		}
		if tags != "" {
			op.Tags = strings.Split(tags, ",")
		}
		plan.Operations = append(plan.Operations, op)
	}
	files, err := filepath.Glob(ts.MkAbs("blobs/sha256/*"))
	ts.Check(err)
	for _, f := range files {
		info, err := os.Stat(f)
		ts.Check(err)
		d := oci.Descriptor{Digest: oci.Digest("sha256:" + filepath.Base(f)), Size: info.Size()}
		plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + filepath.Base(f)})
	}
	b, err := plan.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// TestInterruptingADeployEndsItAtOnce and says what was done: what hangs would never end.
func TestInterruptingADeployEndsItAtOnce(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	release, hangs := make(chan struct{}), make(chan struct{})
	stuck := sync.OnceFunc(func() { close(hangs) })
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "PUT" || !strings.HasPrefix(r.URL.Path, "/v2/stuck/") {
			return false
		}
		stuck()
		<-release
		return true
	})
	defer close(release)

	work := t.TempDir()
	path := filepath.Join(work, "plan.json")
	plan := writePlan(t, work,
		deploy.Operation{Name: "//:good", Registry: address, Repository: "good"},
		deploy.Operation{Name: "//:stuck", Registry: address, Repository: "stuck"},
	)
	go func() {
		<-hangs
		good, _ := http.NewRequest("HEAD", fmt.Sprintf("http://%s/v2/good/manifests/%s", address, plan.Operations[0].Root.Digest), nil)
		good.Header.Set("Accept", oci.MediaTypeManifest)
		for ctx.Err() == nil {
			if answer, err := http.DefaultClient.Do(good); err == nil && answer.StatusCode == http.StatusOK {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(3 * time.Second) // until img has heard of it, too
		interrupt()
	}()
	var stdout, stderr bytes.Buffer
	p := process{Stdout: &stdout, Stderr: &stderr, Getenv: func(key string) string {
		return map[string]string{"RUNFILES_DIR": work, "HOME": work}[key]
	}}
	err := deployPlan(ctx, p, path, nil)
	if err == nil || err.Error() != fmt.Sprintf("interrupted: 1 of 2 not done: //:stuck to %s/stuck", address) {
		t.Errorf("error is %v", err)
	}
	if !strings.HasPrefix(stdout.String(), address+"/good@sha256:") {
		t.Errorf("stdout is %q; want what was done", stdout.String())
	}
}

// writePlan writes an image for each operation, a push, into the folder work, and their plan into its plan.json.
func writePlan(t *testing.T, work string, pushes ...deploy.Operation) deploy.Plan {
	t.Helper()
	store := dir.Store{Root: work, Volatile: true}
	plan := deploy.Plan{Version: deploy.Version}
	for _, op := range pushes {
		op.Kind, op.Strategy = deploy.KindPush, "eager"
		op.Root = blobtest.Image(t, store, oci.Platform{OS: "linux", Architecture: "amd64"}, blobtest.Bytes(op.Name, 1<<20))
		plan.Operations = append(plan.Operations, op)
	}
	files, _ := filepath.Glob(work + "/blobs/sha256/*")
	for _, f := range files {
		d := oci.Descriptor{Digest: oci.Digest("sha256:" + filepath.Base(f))}
		plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + filepath.Base(f)})
	}
	b, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "plan.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return plan
}
