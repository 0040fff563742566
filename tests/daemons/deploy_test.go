//go:build linux

package daemons_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// scratch is where the tool is built; it is removed at the end.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "img-tool-") })

// tool is the real img.
var tool = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "img")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/img").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

// planned is a folder with a plan and the blobs that it needs, as Bazel would make it.
type planned struct{ dir string }

func newPlan(t *testing.T, source *mem.Store, ops ...deploy.Operation) planned {
	t.Helper()
	p := planned{t.TempDir()}
	plan := deploy.Plan{Version: deploy.Version, Name: "//:load", Operations: ops}
	files := dir.Store{Root: p.dir, Volatile: true}
	for i := range ops {
		ops[i].Kind, ops[i].Strategy = deploy.KindLoad, "eager"
		if _, err := blob.Copy(t.Context(), files, source, blob.CopyOptions{}, ops[i].Root); err != nil {
			t.Fatal(err)
		}
	}
	for d, err := range files.All() {
		if err != nil {
			t.Fatal(err)
		}
		plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + d.Digest.Encoded()})
	}
	p.write(t, plan)
	return p
}

func (p planned) write(t *testing.T, plan deploy.Plan) {
	t.Helper()
	b, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "plan.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// lazily makes a plan of one image lazy: the layers are in a disk cache of Bazel, which is returned, and no longer beside the plan.
func (p planned) lazily(t *testing.T) (cache string) {
	t.Helper()
	cache = t.TempDir()
	b, err := os.ReadFile(filepath.Join(p.dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	root := plan.Operations[0].Root
	body, err := os.ReadFile(filepath.Join(p.dir, "blobs/sha256", root.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	small, err := oci.ShallowChildren(root, body)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range plan.Blobs {
		if at.Digest == root.Digest || at.Digest == small[0].Digest {
			continue
		}
		to := filepath.Join(cache, "cas", at.Digest.Encoded()[:2], at.Digest.Encoded())
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(p.dir, at.File), to); err != nil {
			t.Fatal(err)
		}
		plan.Blobs[i].File, plan.Blobs[i].Output = "", "bazel-out/layer-"+at.Digest.Encoded()
	}
	plan.Operations[0].Strategy, plan.Caches = "lazy", []deploy.Cache{{Disk: cache}}
	p.write(t, plan)
	return cache
}

// deploy runs img deploy with the environment and arguments.
func (p planned) deploy(t *testing.T, env []string, args ...string) (stdout []string, stderr string, err error) {
	t.Helper()
	img, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(img, append([]string{"deploy", filepath.Join(p.dir, "plan.json")}, args...)...)
	cmd.Env = append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "RUNFILES_DIR=" + p.dir}, env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return strings.Fields(out.String()), said.String(), err
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("stdout is %q; want %q", got, want)
	}
}

func wantSaid(t *testing.T, stderr, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(stderr) {
		t.Errorf("stderr does not match %s:\n%s", pattern, stderr)
	}
}

func TestDeployLoadsIntoDocker(t *testing.T) {
	for _, kind := range []string{"docker-overlay2", "docker-containerd"} {
		t.Run(kind, func(t *testing.T) {
			d := start(t, kind, "forky")
			env := []string{"DOCKER_HOST=unix://" + d.socket()}
			source := &mem.Store{}
			one, two := app(t, source, "deploy", "one"), app(t, source, "deploy", "two")
			p := newPlan(t, source, deploy.Operation{Name: "//:one", Root: one, Daemon: "docker", Tags: []string{"deploy:one"}})
			out, said, err := p.deploy(t, env, "--dry-run")
			wantLines(t, out, string(one.Digest), "deploy:one")
			if err != nil || !strings.Contains(said, "would deploy 1 image; 5 blobs to send") {
				t.Errorf("a dry run: %v\n%s", err, said)
			}
			if list := d.docker(t, "images", "-q", "deploy:one"); list != "" {
				t.Errorf("a dry run has loaded %s", list)
			}
			out, said, err = p.deploy(t, env)
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			wantLines(t, out, string(one.Digest), "deploy:one")
			wantSaid(t, said, `img: deployed 1 image; 5 blobs sent, 4\.\d MB`)
			p = newPlan(t, source, deploy.Operation{Name: "//:two", Root: two, Daemon: "docker", Tags: []string{"deploy:two"}})
			out, said, err = p.deploy(t, env, "-t", "r.example:5000/deploy", "--tag", "deploy:two")
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			wantLines(t, out, string(two.Digest), "deploy:two", "r.example:5000/deploy:latest")
			wantSaid(t, said, `img: deployed 1 image; 2 there already; 3 blobs sent, 1\.\d kB`)
			if out := d.docker(t, "run", "--rm", "--network", "none", "r.example:5000/deploy"); out != "two" {
				t.Errorf("the image prints %q", out)
			}
		})
	}
}

func TestDeployLoadsPlatformsIntoContainerd(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	root := blobtest.Index(t, source, image(t, source, other, gzipped(t, file{"x", 0o644, []byte("deploy platforms")})), app(t, source, "deploy platforms", "x"))
	p := newPlan(t, source, deploy.Operation{Name: "//:index", Root: root, Daemon: "containerd", Tags: []string{"app"}})
	for name, test := range map[string]struct {
		env   string
		args  []string
		blobs int
	}{
		"own":  {"", nil, 6},
		"env":  {"DOCKER_DEFAULT_PLATFORM=linux/s390x", nil, 4},
		"flag": {"DOCKER_DEFAULT_PLATFORM=linux/riscv64", []string{"--platform", "linux/s390x"}, 4},
		"all":  {"", []string{"--platform", "all"}, 9},
	} {
		namespace := "deploy-" + name
		out, said, err := p.deploy(t, []string{"CONTAINERD_ADDRESS=" + d.socket(), "CONTAINERD_NAMESPACE=" + namespace, test.env}, test.args...)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
			continue
		}
		wantLines(t, out, string(root.Digest), "docker.io/library/app:latest")
		if n := len(strings.Fields(d.ctr(t, namespace, "content", "ls", "-q"))); n != test.blobs {
			t.Errorf("%s: %d blobs are there; want %d", name, n, test.blobs)
		}
	}
	_, said, err := p.deploy(t, []string{"CONTAINERD_ADDRESS=" + d.socket()}, "--platform", "linux/riscv64")
	if err == nil {
		t.Error("loaded a platform that is not there")
	}
	wantSaid(t, said, "no manifest for linux/riscv64: there is linux/"+own.Architecture+".*linux/s390x.*--platform")
}

// TestDeployLoadsWhereItCan has a daemon that is not there among others.
func TestDeployLoadsWhereItCan(t *testing.T) {
	d := start(t, "podman", "forky")
	source := &mem.Store{}
	a, b := app(t, source, "several", "a"), app(t, source, "several", "b")
	p := newPlan(t, source,
		deploy.Operation{Name: "//:a", Root: a, Daemon: "podman", Tags: []string{"several:a"}},
		deploy.Operation{Name: "//:gone", Root: a, Daemon: "containerd", Tags: []string{"several:gone"}},
		deploy.Operation{Name: "//:b", Root: b, Daemon: "podman", Tags: []string{"several:b"}},
		deploy.Operation{Name: "//:clash", Root: b, Daemon: "podman", Tags: []string{"several:a"}},
	)
	result := filepath.Join(p.dir, "result.json")
	out, said, err := p.deploy(t, []string{"CONTAINER_HOST=unix://" + d.socket(), "CONTAINERD_ADDRESS=/nonexistent/c.sock"}, "--result-file", result)
	if err == nil {
		t.Error("succeeded")
	}
	wantLines(t, out, string(a.Digest), "localhost/several:a", string(b.Digest), "localhost/several:b")
	wantSaid(t, said, `containerd /nonexistent/c\.sock.*CONTAINERD_ADDRESS`)
	wantSaid(t, said, `name several:a: would be both sha256:.* and sha256:`)
	wantSaid(t, said, `2 of 4 not done: //:gone to containerd, //:clash to podman`)
	wantSaid(t, said, `8 blobs sent`) // the second image shares two layers with the first
	f, err := os.Open(result)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); !bytes.Contains(b, []byte(`"localhost/several:b"`)) || !bytes.Contains(b, []byte(`"place": "podman 5`)) {
		t.Errorf("result is %s", b)
	}
}

// TestDeployLoadsLazily takes layers from a cache, and none when the daemon has them.
func TestDeployLoadsLazily(t *testing.T) {
	for kind, env := range map[string]string{
		"docker-overlay2": "DOCKER_HOST=unix://", "docker-containerd": "DOCKER_HOST=unix://", "containerd": "CONTAINERD_ADDRESS=", "podman": "CONTAINER_HOST=unix://",
	} {
		t.Run(kind, func(t *testing.T) {
			d := start(t, kind, "forky")
			name, _, _ := strings.Cut(kind, "-")
			source := &mem.Store{}
			root := app(t, source, "lazy", kind)
			p := newPlan(t, source, deploy.Operation{Name: "//:lazy", Root: root, Daemon: name, Tags: []string{"lazily"}})
			cache := p.lazily(t)
			_, said, err := p.deploy(t, []string{env + d.socket()})
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			wantSaid(t, said, `img: deployed 1 image; 5 blobs sent, .* from disk cache`)
			if err := os.RemoveAll(cache); err != nil {
				t.Fatal(err)
			}
			if _, said, err = p.deploy(t, []string{env + d.socket()}); err != nil {
				t.Errorf("what is there is loaded again: %v\n%s", err, said)
			}
			if out := d.runImage(t, "lazily"); out != kind {
				t.Errorf("the image prints %q", out)
			}
		})
	}
}

func TestDeployLoadsByAnyLoader(t *testing.T) {
	source := &mem.Store{}
	root := image(t, source, own, gzipped(t, file{"x", 0o644, []byte("any loader")}))
	p := newPlan(t, source, deploy.Operation{Name: "//:x", Root: root, Daemon: "docker", Tags: []string{"app"}})
	loader := filepath.Join(p.dir, "loader")
	script := "#!/bin/sh\n[ \"$1\" = load ] && cat >\"$HOME/archive.tar\" && echo took it\n"
	if err := os.WriteFile(loader, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	out, said, err := p.deploy(t, []string{"LOADER_BINARY=" + loader}, "--daemon", "generic")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wantLines(t, out, string(root.Digest), "app:latest")
	wantSaid(t, said, "took it")
	wantSaid(t, said, "img: loader load: sent all of the image, since")
	if _, said, err := p.deploy(t, nil, "--daemon", "generic"); err == nil || !strings.Contains(said, "LOADER_BINARY is not set") {
		t.Errorf("without a loader: %v\n%s", err, said)
	}
	if _, said, err := p.deploy(t, nil, "--daemon", "rkt"); err == nil || !strings.Contains(said, "want docker, containerd, podman or generic") {
		t.Errorf("an unknown daemon: %v\n%s", err, said)
	}
	bad := string(root.Digest[:len(root.Digest)-4]) + "0000"
	if _, said, err := p.deploy(t, []string{"LOADER_BINARY=" + loader}, "--daemon", "generic", "-t", "app@"+bad); err == nil || !strings.Contains(said, "the image's digest is "+string(root.Digest)) {
		t.Errorf("a name with another digest: %v\n%s", err, said)
	}
}
