//go:build linux

package daemons_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/docker"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// dialDocker returns a client for the daemon behind a socket, as DOCKER_HOST would.
func dialDocker(t testing.TB, socket string) *docker.Client {
	t.Helper()
	c, err := docker.Dial(func(name string) string {
		return map[string]string{"DOCKER_HOST": "unix://" + socket}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dockers are the stores that Docker keeps images in, with the suites whose Docker has them.
var dockers = []struct {
	kind   string
	suites []string
}{
	{"docker-overlay2", []string{"bookworm", "trixie", "forky"}},
	{"docker-vfs", []string{"forky"}},
	{"docker-containerd", []string{"trixie", "forky"}},
}

func eachDocker(t *testing.T, do func(t *testing.T, d *process)) {
	for _, k := range dockers {
		for _, suite := range k.suites {
			t.Run(k.kind+" "+suite, func(t *testing.T) { do(t, start(t, k.kind, suite)) })
		}
	}
}

// TestDockerTakesWhatItLacks goes by Docker's API alone.
func TestDockerTakesWhatItLacks(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *process) {
		p := newProxy(t, d.socket())
		c := dialDocker(t, p.path)
		c.OnlyAPI = true
		testIncremental(t, c, p, "incremental")
		wantListed(t, d, "incremental:one", "incremental:two", "incremental:again")
		if out := d.docker(t, "run", "--rm", "--network", "none", "incremental:two"); out != "two" {
			t.Errorf("the image prints %q", out)
		}
	})
}

func wantListed(t *testing.T, d *process, names ...string) {
	t.Helper()
	list := strings.Fields(d.docker(t, "images", "--format", "{{.Repository}}:{{.Tag}}"))
	for _, name := range names {
		found := false
		for _, l := range list {
			found = found || l == name
		}
		if !found {
			t.Errorf("docker lists %q, without %s", list, name)
		}
	}
}

// TestDockerTakesFromContainerdsSocket goes to the containerd of a Docker, which since version 28 says where it is.
func TestDockerTakesFromContainerdsSocket(t *testing.T) {
	for _, suite := range []string{"trixie", "forky"} {
		t.Run(suite, func(t *testing.T) {
			d := start(t, "docker-containerd", suite)
			p := newProxy(t, d.socket())
			c := dialDocker(t, p.path)
			c.Containerd = []string{"/nonexistent/containerd.sock", filepath.Join(d.dir, "exec", "containerd", "containerd.sock")}
			testIncremental(t, c, nil, "direct")
			if p.sent.Load() > slightly {
				t.Errorf("%d bytes went to Docker's own socket", p.sent.Load())
			}
			wantListed(t, d, "direct:one", "direct:two", "direct:again")
			if out := d.docker(t, "run", "--rm", "--network", "none", "direct:two"); out != "two" {
				t.Errorf("the image prints %q", out)
			}
		})
	}
}

// TestDockerIsNotLedToAnotherContainerd offers a containerd that is not Docker's.
func TestDockerIsNotLedToAnotherContainerd(t *testing.T) {
	strange := start(t, "containerd", "trixie")
	d := start(t, "docker-containerd", "trixie")
	c := dialDocker(t, d.socket())
	c.Containerd = []string{strange.socket()}
	source := &mem.Store{}
	load(t, c, daemon.Image{Root: app(t, source, "led", "led"), Source: source, Names: names(t, "led")})
	wantListed(t, d, "led:latest")
	if list := strange.ctr(t, "moby", "images", "ls", "-q"); list != "" {
		t.Errorf("the other containerd has %q", list)
	}
}

func TestDockerTakesPlatforms(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *process) {
		source := &mem.Store{}
		root := blobtest.Index(t, source, image(t, source, other, gzipped(t, file{"x", 0o644, []byte(d.suite)})), app(t, source, "platforms", "platforms"))
		for _, onlyAPI := range []bool{true, false} {
			c := dialDocker(t, d.socket())
			c.OnlyAPI = onlyAPI
			load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms:own")})
			if out := d.docker(t, "run", "--rm", "--network", "none", "platforms:own"); out != "platforms" {
				t.Errorf("the image prints %q", out)
			}
			theirs := daemon.Platforms{Wanted: []oci.Platform{other}}
			load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms:theirs"), Platforms: theirs})
			wantListed(t, d, "platforms:own", "platforms:theirs")
			all := daemon.Image{Root: root, Source: source, Names: names(t, "platforms:all"), Platforms: daemon.Platforms{All: true}}
			if d.kind == "docker-containerd" {
				load(t, c, all)
				wantListed(t, d, "platforms:all")
			} else if _, err := c.Load(t.Context(), all); err == nil || !strings.Contains(err.Error(), "--platform") {
				t.Errorf("all platforms into a graph driver: %v", err)
			}
		}
	})
}

func TestDockerWritesNames(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *process) {
		source := &mem.Store{}
		root := app(t, source, "names", "names of "+d.kind+d.suite)
		c := dialDocker(t, d.socket())
		c.OnlyAPI = true
		done := load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "app", "team/app:v1", "localhost:5000/app", "ghcr.io/a/b:c")})
		want := []string{"app:latest", "team/app:v1", "localhost:5000/app:latest", "ghcr.io/a/b:c"}
		if got := strings.Join(done.Names, " "); got != strings.Join(want, " ") {
			t.Errorf("names are %s", got)
		}
		wantListed(t, d, want...)
	})
}

func TestDockerTakesAnImageWithoutAName(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *process) {
		for _, onlyAPI := range []bool{true, false} {
			source := &mem.Store{}
			root := app(t, source, "unnamed", "unnamed "+d.kind+d.suite)
			if onlyAPI {
				root = app(t, source, "unnamed", "unnamed by API "+d.kind+d.suite)
			}
			c := dialDocker(t, d.socket())
			c.OnlyAPI = onlyAPI
			done := load(t, c, daemon.Image{Root: root, Source: source})
			id := string(done.Root.Digest)
			if d.kind != "docker-containerd" {
				id = string(configOf(t, source, root))
			}
			if out := d.docker(t, "run", "--rm", "--network", "none", id); !strings.HasPrefix(out, "unnamed") {
				t.Errorf("the image prints %q", out)
			}
		}
	})
}

func configOf(t *testing.T, source *mem.Store, d oci.Descriptor) oci.Digest {
	t.Helper()
	parts, err := daemon.Read(t.Context(), source, d)
	if err != nil {
		t.Fatal(err)
	}
	return parts.Config.Digest
}

func TestDockerTakesZstandard(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *process) {
		source := &mem.Store{}
		root := image(t, source, own, append(below(t, "zstandard"), zstandard(t, file{"message", 0o644, []byte("zstandard")}))...)
		c := dialDocker(t, d.socket())
		c.OnlyAPI = true
		_, err := c.Load(t.Context(), daemon.Image{Root: root, Source: source, Names: names(t, "zstandard")})
		if d.suite == "bookworm" {
			if err == nil || !strings.Contains(err.Error(), "gzip") {
				t.Errorf("Docker 20.10, which can't read it: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if out := d.docker(t, "run", "--rm", "--network", "none", "zstandard"); out != "zstandard" {
			t.Errorf("the image prints %q", out)
		}
	})
}

// TestDockerMendsHalfAnImage removes a layer's blob from under an image that Docker lists.
func TestDockerMendsHalfAnImage(t *testing.T) {
	d := start(t, "docker-containerd", "forky")
	source := &mem.Store{}
	root := app(t, source, "half", "half")
	c := dialDocker(t, d.socket())
	c.OnlyAPI = true
	load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "half")})
	parts, err := daemon.Read(t.Context(), source, root)
	if err != nil {
		t.Fatal(err)
	}
	ctr := []string{"ctr", "-a", filepath.Join(d.dir, "exec", "containerd", "containerd.sock"), "-n", "moby"}
	d.run(t, append(ctr, "content", "rm", string(parts.Layers[2].Digest))...)
	done := load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "half")})
	if done.Report.Moved.Blobs != 2 {
		t.Errorf("moved %d blobs; want the layer that was gone and the manifest", done.Report.Moved.Blobs)
	}
}

func TestDockerByContext(t *testing.T) {
	d := start(t, "docker-overlay2", "forky")
	config := t.TempDir()
	write := func(name string, v any) {
		b, _ := json.Marshal(v)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(config, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(config, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", map[string]any{"currentContext": "test"})
	write("contexts/meta/"+oci.DigestOf([]byte("test")).Encoded()+"/meta.json",
		map[string]any{"Name": "test", "Endpoints": map[string]any{"docker": map[string]any{"Host": "unix://" + d.socket()}}})
	c, err := docker.Dial(func(name string) string { return map[string]string{"DOCKER_CONFIG": config}[name] })
	if err != nil {
		t.Fatal(err)
	}
	source := &mem.Store{}
	load(t, c, daemon.Image{Root: app(t, source, "context", "context"), Source: source, Names: names(t, "context")})
	wantListed(t, d, "context:latest")
}

func TestDockerThatIsNotThere(t *testing.T) {
	_, err := dialDocker(t, "/nonexistent/docker.sock").Load(t.Context(), daemon.Image{})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/docker.sock") || !strings.Contains(err.Error(), "DOCKER_HOST") {
		t.Errorf("error is %v; want it to say where nothing listens and what to do", err)
	}
}
