// Package bes_test has images pushed by the build event service, with a real Bazel, a real remote cache and the project's registry.
package bes_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// scene is a workspace whose builds are told to a build event service, which reads from a remote cache and pushes to a registry.
type scene struct {
	*testing.T
	*bazeltest.Workspace
	registry registry
	cache    bazeltest.Cache
	bes      *service
	proxy    *bazeltest.Proxy // between Bazel and the service
}

// TestBuildEventService has one workspace, cache and registry for all its tests, and a service for each.
func TestBuildEventService(t *testing.T) {
	s := scene{T: t, registry: startRegistry(t), cache: bazeltest.StartCache(t)}
	s.Workspace = bazeltest.NewWorkspace(t, "workspace", "bes", "REGISTRY", s.registry.host)
	s.WriteFile("few/source.tar", sourceTar(t))
	s.Flags = []string{"--remote_cache=" + s.cache.GRPC, "--remote_download_minimal"}
	s.Bazel("clean")
	binary := filepath.Join(t.TempDir(), "bes")
	build := exec.Command("go", "build", "-o", binary, "./cmd/bes")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name, mode, wait string
		test             func(*scene)
	}{
		{"200 images are pushed while they are built", "background", "1m", pushesWhileBuilding},
		{"a build waits for its pushes", "per-stream", "1m", waits},
		{"an image that fails touches no other", "per-stream", "1m", failsAlone},
		{"accepted work survives the death of the server", "background", "1m", survives},
		{"what only the client has is named", "per-stream", "1s", namesWhatIsNotThere},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s
			s.T = t
			s.bes = startService(t, binary, "--cas-endpoint", s.cache.GRPC, "--commit-mode", c.mode, "--upload-wait", c.wait)
			s.proxy = bazeltest.StartProxy(t, s.bes.address)
			c.test(&s)
		})
	}
}

// build builds, with the service told.
func (s *scene) build(args ...string) error {
	_, err := s.Try("build", append([]string{"--bes_backend=grpc://" + s.proxy.Address, "--bes_upload_mode=wait_for_upload_complete"}, args...)...)
	return err
}

func (s *scene) built(args ...string) {
	s.Helper()
	if err := s.build(args...); err != nil {
		s.Fatalf("bazel build %s: %v\n%s\n%s", args, err, s.Stderr, s.bes.log())
	}
}

func (s *scene) wantImages(references ...string) {
	s.Helper()
	for _, reference := range references {
		if err := s.image(reference); err != nil {
			s.Errorf("%s: %v\n%s", reference, err, s.bes.log())
		}
	}
}

func (s *scene) image(reference string) error {
	ref, err := name.ParseReference(s.registry.host + "/" + reference)
	if err != nil {
		return err
	}
	d, err := remote.Get(ref)
	if err != nil {
		return err
	}
	if d.MediaType.IsIndex() {
		index, err := d.ImageIndex()
		if err != nil {
			return err
		}
		return validate.Index(index, validate.Fast)
	}
	image, err := d.Image()
	if err != nil {
		return err
	}
	return validate.Image(image, validate.Fast)
}

func sourceTar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: "from-source", Mode: 0o644}))
	bazeltest.Must(t, w.Close())
	return b.String()
}

// registry is the project's, behind a door that can be shut, and that refuses one repository.
type registry struct {
	host string
	door *sync.RWMutex // held for writing, nothing but reading goes on
}

const refused = "few/refused"

func startRegistry(t *testing.T) registry {
	t.Helper()
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: bazeltest.StartRegistry(t)})
	to.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	r := registry{door: new(sync.RWMutex)}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/v2/"+refused+"/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if req.Method != http.MethodGet {
			r.door.RLock()
			defer r.door.RUnlock()
		}
		to.ServeHTTP(w, req)
	}))
	t.Cleanup(front.Close)
	r.host = front.Listener.Addr().String()
	return r
}

// service is a bes that runs for the length of a test, and may be killed and started again.
type service struct {
	testing.TB
	address, binary, state string
	flags                  []string

	cmd    *exec.Cmd
	mu     sync.Mutex
	stderr strings.Builder
}

func startService(t *testing.T, binary string, flags ...string) *service {
	t.Helper()
	s := &service{TB: t, binary: binary, state: t.TempDir()}
	s.flags = append(flags, "--state", s.state)
	s.start("0")
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *service) start(port string) {
	s.Helper()
	s.cmd = exec.Command(s.binary, append([]string{"--port", port}, s.flags...)...)
	s.cmd.Stderr = s
	out, err := s.cmd.StdoutPipe()
	bazeltest.Must(s, err)
	bazeltest.Must(s, s.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Fatalf("bes printed no address: %v\n%s", err, s.log())
	}
	s.address = strings.TrimSpace(line)
}

// Write keeps the log.
func (s *service) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(b)
}

func (s *service) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

func (s *service) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// restart kills the service and starts it again, at the same address.
func (s *service) restart() {
	s.Helper()
	_, port, err := net.SplitHostPort(s.address)
	bazeltest.Must(s, err)
	s.kill()
	s.start(port)
}

type job struct {
	Target, State, Error string
	Names, Notes         []string
}

// jobs are what was accepted, by target.
func (s *service) jobs() map[string]job {
	s.Helper()
	out, err := exec.Command(s.binary, "status", "--state", s.state).Output()
	bazeltest.Must(s, err)
	all := map[string]job{}
	lines := json.NewDecoder(bytes.NewReader(out))
	for lines.More() {
		var j job
		bazeltest.Must(s, lines.Decode(&j))
		if _, twice := all[j.Target]; twice {
			s.Errorf("%s was accepted twice", j.Target)
		}
		all[j.Target] = j
	}
	return all
}

// waitFor waits until the jobs are as wanted, which takes long on a busy machine.
func (s *service) waitFor(what string, wanted func(map[string]job) bool) map[string]job {
	s.Helper()
	for range 5000 {
		if all := s.jobs(); wanted(all) {
			return all
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Errorf("there are never %s:\n%v\n%s", what, s.jobs(), s.log())
	return nil
}

// ended reports whether nothing is left to do.
func ended(all map[string]job) bool { return count(all, "accepted") == 0 }

func count(all map[string]job, state string) (n int) {
	for _, j := range all {
		if j.State == state {
			n++
		}
	}
	return n
}

func pushesWhileBuilding(s *scene) {
	troubled := make(chan struct{})
	go func() {
		defer close(troubled)
		s.bes.waitFor("20 jobs", func(all map[string]job) bool { return len(all) >= 20 })
		s.proxy.Cut()
		s.bes.waitFor("80 jobs", func(all map[string]job) bool { return len(all) >= 80 })
		s.bes.restart()
	}()
	s.built("//many/...", "--experimental_remote_cache_async") // ends only when an image is there
	<-troubled
	all := s.bes.waitFor("all pushed", ended)
	if len(all) != 200 || count(all, "done") != 200 {
		s.Errorf("%d jobs, %d done\n%s", len(all), count(all, "done"), s.bes.log())
	}
	if n := strings.Count(s.bes.log(), "msg=accepted"); n > 200 { // it may be fewer: who is killed has no time to say what it has accepted
		s.Errorf("200 plans were accepted %d times", n)
	}
	for i := range 200 {
		s.wantImages(fmt.Sprintf("many/%d:v1", i))
	}
}

func waits(s *scene) {
	s.built("//few:all")
	s.wantImages("few/one:v1", "few/inner:v1", "few/index:v1", "few/index:latest")
	if err := s.image("few/eager:v1"); err == nil {
		s.Error("an eager push was done by who only built it")
	}
	all := s.bes.jobs()
	if len(all) != 3 || count(all, "done") != 3 {
		s.Errorf("jobs are %v", all)
	}
	if notes := strings.Join(all["//few:deploy"].Notes, "\n"); !strings.Contains(notes, "//few:load: not done: a load") {
		s.Errorf("notes of the deployment: %s", notes)
	}

	s.built("//few:eager", "--output_groups=+deploy_manifest")
	s.wantImages("few/eager:v1")

	s.Setenv("IMG_REAPI_ENDPOINT", s.cache.GRPC)
	s.Bazel("run", "//few:one", "--", "--repository", "few/by_hand")
	s.wantImages("few/by_hand:v1")
}

func failsAlone(s *scene) {
	if err := s.build("//few:all", "//few:refused"); err == nil {
		s.Errorf("the build succeeded:\n%s\n%s", s.Stderr, s.bes.log())
	}
	for _, want := range []string{"1 of 4 plans could not be pushed", "//few:refused", refused, "403 forbidden"} {
		if !strings.Contains(s.Stderr, want) {
			s.Errorf("Bazel does not say %q:\n%s", want, s.Stderr)
		}
	}
	all := s.bes.jobs()
	if len(all) != 4 || count(all, "done") != 3 || all["//few:refused"].State != "failed" {
		s.Errorf("jobs are %v", all)
	}
}

func survives(s *scene) {
	s.registry.door.Lock()
	s.built("//few:all") // does not wait for the registry, which lets nothing in
	all := s.bes.jobs()
	if len(all) != 3 || count(all, "accepted") != 3 {
		s.Errorf("jobs are %v\n%s", all, s.bes.log())
	}
	s.bes.restart()
	s.registry.door.Unlock()
	if all := s.bes.waitFor("all pushed", ended); count(all, "done") != 3 {
		s.Errorf("jobs are %v\n%s", all, s.bes.log())
	}
}

func namesWhatIsNotThere(s *scene) {
	for target, c := range map[string]struct{ flag, file string }{
		"//few:push_source": {"--remote_upload_local_results", "source.tar"},
		"//few:local":       {"--noremote_upload_local_results", "local.plan.json"},
	} {
		if err := s.build(target, c.flag); err == nil {
			s.Errorf("%s was pushed", target)
		}
		for _, want := range []string{target, c.file, "not found", "--noremote_upload_local_results", "--remote_build_event_upload=all"} {
			if !strings.Contains(s.Stderr, want) {
				s.Errorf("Bazel does not say %q:\n%s", want, s.Stderr)
			}
		}
	}
	s.built("//few:push_source", "--remote_build_event_upload=all")
	s.wantImages("few/source:v1")
}
