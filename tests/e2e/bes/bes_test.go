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

func newScene(t *testing.T, mode string, flags ...string) *scene {
	t.Helper()
	s := &scene{T: t, registry: startRegistry(t), cache: bazeltest.StartCache(t)}
	s.Workspace = bazeltest.NewWorkspace(t, "workspace", "bes", "REGISTRY", s.registry.host)
	s.WriteFile("few/source.tar", sourceTar(t))
	s.bes = startService(t, append([]string{"--cas-endpoint", s.cache.GRPC, "--commit-mode", mode}, flags...)...)
	s.proxy = bazeltest.StartProxy(t, s.bes.address)
	s.Flags = []string{"--remote_cache=" + s.cache.GRPC, "--remote_download_minimal"}
	s.Bazel("clean")
	return s
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
		return validate.Index(index)
	}
	image, err := d.Image()
	if err != nil {
		return err
	}
	return validate.Image(image)
}

func (s *scene) wantNoImage(repository string) {
	s.Helper()
	if err := s.image(repository + ":v1"); err == nil {
		s.Errorf("%s was pushed\n%s", repository, s.bes.log())
	}
}

func sourceTar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: "from-source", Mode: 0o644}))
	bazeltest.Must(t, w.Close())
	return b.String()
}

// registry is the project's, behind a door that can be held shut, and that refuses one repository.
type registry struct {
	host string
	hold chan struct{} // pushes wait until it is closed
}

const refused = "few/refused"

func startRegistry(t *testing.T) registry {
	t.Helper()
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: bazeltest.StartRegistry(t)})
	r := registry{hold: make(chan struct{})}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/v2/"+refused+"/") {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"nothing goes here"}]}`, http.StatusForbidden)
			return
		}
		if req.Method != http.MethodGet {
			select {
			case <-r.hold:
			case <-req.Context().Done():
				return
			}
		}
		to.ServeHTTP(w, req)
	}))
	t.Cleanup(front.Close)
	r.host = front.Listener.Addr().String()
	return r
}

func (r registry) open() { close(r.hold) }

// service is a bes that runs for the length of a test, and may be killed and started again.
type service struct {
	testing.TB
	address, binary, state string
	flags                  []string

	cmd    *exec.Cmd
	mu     sync.Mutex
	stderr strings.Builder
}

func startService(t *testing.T, flags ...string) *service {
	t.Helper()
	s := &service{TB: t, binary: filepath.Join(t.TempDir(), "bes"), state: t.TempDir()}
	build := exec.Command("go", "build", "-o", s.binary, "./cmd/bes")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
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

// waitFor waits until the jobs are as wanted.
func (s *service) waitFor(what string, wanted func(map[string]job) bool) map[string]job {
	s.Helper()
	for range 1200 {
		if all := s.jobs(); wanted(all) {
			return all
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("there are never %s:\n%v\n%s", what, s.jobs(), s.log())
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

func TestABuildOf200ImagesIsPushedWhileItRuns(t *testing.T) {
	s := newScene(t, "background")
	s.registry.open()
	troubled := make(chan struct{})
	go func() {
		defer close(troubled)
		s.bes.waitFor("20 jobs", func(all map[string]job) bool { return len(all) >= 20 })
		s.proxy.Cut()
		s.bes.waitFor("80 jobs", func(all map[string]job) bool { return len(all) >= 80 })
		s.bes.restart()
	}()
	s.built("//many/...") // ends only when an image is there
	<-troubled
	all := s.bes.waitFor("all pushed", ended)
	if len(all) != 200 || count(all, "done") != 200 {
		t.Errorf("%d jobs, %d done\n%s", len(all), count(all, "done"), s.bes.log())
	}
	if n := strings.Count(s.bes.log(), "msg=accepted"); n != 200 {
		t.Errorf("200 plans were accepted %d times", n)
	}
	for i := range 200 {
		s.wantImages(fmt.Sprintf("many/%d:v1", i))
	}
}

func TestABuildThatWaitsForItsPushes(t *testing.T) {
	s := newScene(t, "per-stream")
	s.registry.open()
	s.built("//few:all")
	s.wantImages("few/one:v1", "few/inner:v1", "few/index:v1", "few/index:latest")
	s.wantNoImage("few/eager")
	all := s.bes.jobs()
	if len(all) != 3 || count(all, "done") != 3 {
		t.Errorf("jobs are %v", all)
	}
	if notes := strings.Join(all["//few:deploy"].Notes, "\n"); !strings.Contains(notes, "//few:load: not done: a load") {
		t.Errorf("notes of the deployment: %s", notes)
	}

	s.built("//few:eager", "--output_groups=+deploy_manifest")
	s.wantImages("few/eager:v1")
}

func TestAnImageThatFailsTouchesNoOther(t *testing.T) {
	s := newScene(t, "per-stream")
	s.registry.open()
	if err := s.build("//few:all", "//few:refused"); err == nil {
		t.Errorf("the build succeeded:\n%s\n%s", s.Stderr, s.bes.log())
	}
	for _, want := range []string{"1 of 4 plans could not be pushed", "//few:refused", refused, "nothing goes here"} {
		if !strings.Contains(s.Stderr, want) {
			t.Errorf("Bazel does not say %q:\n%s", want, s.Stderr)
		}
	}
	s.wantImages("few/one:v1", "few/inner:v1", "few/index:v1")
	all := s.bes.jobs()
	if len(all) != 4 || count(all, "done") != 3 || all["//few:refused"].State != "failed" {
		t.Errorf("jobs are %v", all)
	}
}

func TestAcceptedWorkSurvivesTheDeathOfTheServer(t *testing.T) {
	s := newScene(t, "background")
	s.built("//few:all") // does not wait for the registry, which lets nothing in
	all := s.bes.jobs()
	if len(all) != 3 || count(all, "accepted") != 3 {
		t.Fatalf("jobs are %v\n%s", all, s.bes.log())
	}
	s.bes.restart()
	s.registry.open()
	if all := s.bes.waitFor("all pushed", ended); count(all, "done") != 3 {
		t.Errorf("jobs are %v\n%s", all, s.bes.log())
	}
	s.wantImages("few/one:v1", "few/inner:v1", "few/index:v1")
}

func TestWhatOnlyTheClientHasIsNamed(t *testing.T) {
	s := newScene(t, "per-stream")
	s.registry.open()
	if err := s.build("//few:push_source"); err == nil {
		t.Error("a layer that is nowhere was pushed")
	}
	for _, want := range []string{"//few:push_source", "source.tar", "sha256:", "--remote_build_event_upload=all uploads source files"} {
		if !strings.Contains(s.Stderr, want) {
			t.Errorf("Bazel does not say %q:\n%s", want, s.Stderr)
		}
	}
	s.built("//few:push_source", "--remote_build_event_upload=all")
	s.wantImages("few/source:v1")

	s.Bazel("clean")
	if err := s.build("//few:one", "--noremote_upload_local_results", "--noremote_accept_cached"); err == nil {
		t.Error("a plan that is nowhere was carried out")
	}
	if !strings.Contains(s.Stderr, "one.plan.json") || !strings.Contains(s.Stderr, "--noremote_upload_local_results") {
		t.Errorf("Bazel says:\n%s", s.Stderr)
	}
}
