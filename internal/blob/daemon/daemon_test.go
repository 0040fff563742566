package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/containerd"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/docker"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/podman"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestNamesAreAsDaemonsWriteThem(t *testing.T) {
	for in, want := range map[string][3]string{ // containerd, Docker, Podman
		"app":                        {"docker.io/library/app:latest", "app:latest", "localhost/app:latest"},
		"app:v1":                     {"docker.io/library/app:v1", "app:v1", "localhost/app:v1"},
		"team/app":                   {"docker.io/team/app:latest", "team/app:latest", "localhost/team/app:latest"},
		"library/app":                {"docker.io/library/app:latest", "app:latest", "localhost/app:latest"},
		"docker.io/app:v1":           {"docker.io/library/app:v1", "app:v1", "docker.io/library/app:v1"},
		"index.docker.io/team/app":   {"docker.io/team/app:latest", "team/app:latest", "docker.io/team/app:latest"},
		"localhost/app":              {"localhost/app:latest", "localhost/app:latest", "localhost/app:latest"},
		"localhost:5000/app":         {"localhost:5000/app:latest", "localhost:5000/app:latest", "localhost:5000/app:latest"},
		"ghcr.io/a/b/c:d":            {"ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d"},
		"[::1]:5000/app":             {"[::1]:5000/app:latest", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
		"app@" + digest:              {"docker.io/library/app@" + digest, "app@" + digest, "localhost/app@" + digest},
		"ghcr.io/a:v1@" + digest:     {"ghcr.io/a:v1@" + digest, "ghcr.io/a:v1@" + digest, "ghcr.io/a:v1@" + digest},
		"localhost:5000/a@" + digest: {"localhost:5000/a@" + digest, "localhost:5000/a@" + digest, "localhost:5000/a@" + digest},
	} {
		n, err := daemon.ParseName(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(want, [3]string{n.Full(), n.Familiar(), n.Local()}); d != "" {
			t.Errorf("%s (-want +got):\n%s", in, d)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, in := range []string{"", "App", "a:b:c", "https://ghcr.io/a", "a@sha256:12"} {
		if n, err := daemon.ParseName(in); err == nil {
			t.Errorf("%q is %s; want an error", in, n.Full())
		}
	}
}

func TestNamesForDaemonsThatTakeTagsOnly(t *testing.T) {
	both, _ := daemon.ParseName("app:v1@" + digest)
	pinned, _ := daemon.ParseName("app@" + digest)
	if got, err := daemon.OnlyTags([]daemon.Name{both}); err != nil || got[0].Full() != "docker.io/library/app:v1" {
		t.Errorf("is %v, %v", got, err)
	}
	if _, err := daemon.OnlyTags([]daemon.Name{both, pinned}); err == nil || !strings.Contains(err.Error(), "use a tag") {
		t.Errorf("error is %v; want it to say what to do", err)
	}
	if err := pinned.Check(oci.Descriptor{Digest: digest}); err != nil {
		t.Error(err)
	}
	if err := pinned.Check(oci.Describe("", nil)); err == nil {
		t.Error("took a name with the digest of another image")
	}
}

func TestChoosePlatforms(t *testing.T) {
	source := &mem.Store{}
	platform := func(s string) oci.Platform {
		p, err := oci.ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var manifests []oci.Descriptor
	for _, s := range []string{"linux/amd64", "linux/arm64", "linux/arm/v6"} {
		manifests = append(manifests, blobtest.Image(t, source, platform(s), []byte(s)))
	}
	nested := blobtest.Index(t, source, blobtest.Index(t, source, manifests...))
	for wish, want := range map[string]string{
		"":                          "[linux/amd64]",
		"linux/arm64":               "[linux/arm64/v8]",
		"linux/arm/v7":              "[linux/arm/v6]",
		"linux/arm64,linux/amd64":   "[linux/arm64/v8 linux/amd64]",
		"linux/arm/v7,linux/arm/v6": "[linux/arm/v6]",
		"all":                       "[linux/amd64 linux/arm64/v8 linux/arm/v6]",
		"linux/s390x":               "no manifest for linux/s390x: there is linux/amd64, linux/arm/v6, linux/arm64/v8: choose with --platform",
	} {
		t.Run(wish, func(t *testing.T) {
			im := daemon.Image{Root: nested, Source: source}
			if wish != "" {
				var err error
				if im.Platforms, err = daemon.ParsePlatforms(wish); err != nil {
					t.Fatal(err)
				}
			}
			c, err := daemon.Choose(t.Context(), im, platform("linux/amd64"))
			var names []string
			for _, d := range c.Manifests {
				names = append(names, oci.FormatPlatform(*d.Platform))
			}
			got := fmt.Sprint(names)
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("chose %s; want %s", got, want)
			}
			if err != nil {
				return
			}
			for _, d := range manifests {
				left, chosen := c.Leave != nil && c.Leave(d), strings.Contains(want, oci.FormatPlatform(oci.NormalizePlatform(*d.Platform)))
				if left == chosen {
					t.Errorf("%s is left out: %v", oci.FormatPlatform(*d.Platform), left)
				}
			}
			if _, err := daemon.One(t.Context(), im, platform("linux/amd64")); (err == nil) != (len(c.Manifests) == 1) {
				t.Errorf("one of %s: %v", got, err)
			}
		})
	}
}

func TestChooseTakesTheLowestVariantWhenTheDaemonNamesNone(t *testing.T) {
	source := &mem.Store{}
	var manifests []oci.Descriptor
	for _, variant := range []string{"v4", "v2", "v3"} {
		manifests = append(manifests, blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64", Variant: variant}, []byte(variant)))
	}
	im := daemon.Image{Root: blobtest.Index(t, source, manifests...), Source: source}
	own := oci.Platform{OS: "linux", Architecture: "amd64"}
	if d, err := daemon.One(t.Context(), im, own); err != nil || d.Digest != manifests[1].Digest {
		t.Errorf("chose %v, %v; want v2", d.Platform, err)
	}
	im.Platforms.Wanted = []oci.Platform{own}
	if d, err := daemon.One(t.Context(), im, own); err == nil {
		t.Errorf("chose %v where a platform without a variant was asked for", d.Platform)
	}
}

func TestPlatformsThatAreNone(t *testing.T) {
	for _, in := range []string{"", "amd64", "linux/amd64,", "linux/amd64,all"} {
		if p, err := daemon.ParsePlatforms(in); err == nil {
			t.Errorf("%q is %v; want an error", in, p)
		}
	}
}

func TestReadRefusesWhatIsNoContainerImage(t *testing.T) {
	source := &mem.Store{}
	config := source.Add(oci.MediaTypeConfig, []byte(`{"rootfs":{"diff_ids":["`+digest+`"]}}`))
	m := source.Add(oci.MediaTypeManifest, fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		config.MediaType, config.Digest, config.Size))
	if _, err := daemon.Read(t.Context(), source, m); err == nil || !strings.Contains(err.Error(), "no container image") {
		t.Errorf("error is %v", err)
	}
}

func TestSendLeavesOutWhatIsThere(t *testing.T) {
	source := &mem.Store{}
	root := blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("there"), []byte("not there"), []byte("there twice"), []byte("there twice"))
	parts, err := daemon.Read(t.Context(), source, root)
	if err != nil {
		t.Fatal(err)
	}
	a := daemon.Archive{Image: daemon.Image{Root: root, Source: source}, Layout: layout.Image{Root: root}}
	a.Missing = daemon.Without([]oci.Descriptor{parts.Layers[0], parts.Layers[2]}, parts.Layers[3:])
	report, err := a.Send(t.Context(), func(_ context.Context, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	if err != nil || report.Moved.Blobs != 4 || report.Present.Blobs != 1 { // the layer needed again above what is there, and the one that is not; config; manifest
		t.Errorf("report is %+v, %v", report, err)
	}
}

func TestSendSaysWhoFailed(t *testing.T) {
	source := &mem.Store{}
	root := blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64"}, blobtest.Bytes("large", 1<<20))
	refused, broken := errors.New("refused"), errors.New("broken")
	a := daemon.Archive{Image: daemon.Image{Root: root, Source: source}, Layout: layout.Image{Root: root}}
	_, err := a.Send(t.Context(), func(_ context.Context, r io.Reader) error {
		io.CopyN(io.Discard, r, 1000)
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("a loader that stops: %v", err)
	}
	a.Image.Source = blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		if oci.IsManifest(d.MediaType) {
			return source.Open(ctx, d)
		}
		return nil, broken
	})
	_, err = a.Send(t.Context(), func(_ context.Context, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	if !errors.Is(err, broken) {
		t.Errorf("a source that fails: %v", err)
	}
}

func TestADryRunSendsNothing(t *testing.T) {
	source := &mem.Store{}
	root := blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("layer"))
	a := daemon.Archive{Image: daemon.Image{Root: root, Source: source, Dry: true}, Layout: layout.Image{Root: root}}
	report, err := a.Send(t.Context(), func(context.Context, io.Reader) error { return errors.New("something was sent") })
	if err != nil || report.Moved.Blobs != 3 {
		t.Errorf("report is %+v, %v; want what would be sent", report, err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"app", "localhost:5000/a/b:c@" + digest, "docker.io/x", ":", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := daemon.ParseName(s)
		if err != nil {
			return
		}
		again, err := daemon.ParseName(n.Full())
		if err != nil || again.Full() != n.Full() {
			t.Errorf("%q is %s, and parsed again %s, %v", s, n.Full(), again.Full(), err)
		}
	})
}

// TestADaemonThatHangsIsGivenUp: it takes connections, and says nothing.
func TestADaemonThatHangsIsGivenUp(t *testing.T) {
	dir, err := os.MkdirTemp("", "hangs-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	inDocker, err := docker.Dial(func(name string) string { return map[string]string{"DOCKER_HOST": "unix://" + path}[name] })
	if err != nil {
		t.Fatal(err)
	}
	inContainerd, err := containerd.Dial(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer inContainerd.Close()
	for name, to := range map[string]daemon.Daemon{"docker": inDocker, "containerd": inContainerd, "podman": podman.Socket(path)} {
		_, err := to.Load(t.Context(), daemon.Image{Patience: time.Millisecond})
		if err == nil || !strings.HasPrefix(err.Error(), name) || !strings.Contains(err.Error(), "no answer within 1ms") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
