// Package release_test makes a release and uses it as others will: from a registry of modules, on a machine without Go.
package release_test

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

var platform = runtime.GOOS + "_" + runtime.GOARCH

// TestRelease makes one release, for this platform, and looks at it from all sides.
func TestRelease(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "release")
	command(t, bazeltest.Root(t), "go", "build", "-o", tool, "./tools/release")
	r := makeRelease(t, tool, bazeltest.Root(t), filepath.Join(t.TempDir(), "release"), "")
	t.Run("is the same from another folder", func(t *testing.T) { sameFromElsewhere(t, tool, r) })
	t.Run("has right checksums", func(t *testing.T) { command(t, r.dir, "sha256sum", "--check", "--quiet", "SHA256SUMS") })
	t.Run("has an SBOM that names what is linked", r.checkSBOM)
	t.Run("is not made twice in one place", func(t *testing.T) {
		out, err := r.command(tool, bazeltest.Root(t), r.dir, r.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is there already") {
			t.Errorf("it says %v: %s", err, out)
		}
		if len(r.program("img")) == 0 {
			t.Error("the release is gone")
		}
	})
	t.Run("is used without Go", r.use)
	t.Run("is used without Go and bzlmod", r.useWithoutBzlmod)
}

// release is a folder that tools/release has made.
type release struct{ dir, version string }

// makeRelease makes a release of a checkout in dir, whose files say that they are at url: there, if it is empty.
func makeRelease(t *testing.T, tool, root, dir, url string) release {
	t.Helper()
	module, err := os.ReadFile(filepath.Join(root, "MODULE.bazel"))
	bazeltest.Must(t, err)
	r := release{dir, regexp.MustCompile(`\n    version = "(.*)"`).FindStringSubmatch(string(module))[1]}
	if url == "" {
		url = dir
	}
	if out, err := r.command(tool, root, dir, url).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

func (r release) command(tool, root, dir, url string) *exec.Cmd {
	cmd := exec.Command(tool, "--dirty", "--version", r.version, "--out", dir, "--url", "file://"+url, "--platforms", strings.ReplaceAll(platform, "_", "/"), "--vet=false")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	return cmd
}

// program is a program of the release.
func (r release) program(name string) []byte { return read(r.dir, name+"_"+platform) }

// sameFromElsewhere makes the release again, from a copy of the checkout in a folder of another name, with other settings of Go.
func sameFromElsewhere(t *testing.T, tool string, r release) {
	copied := filepath.Join(t.TempDir(), "a folder", "of another name")
	bazeltest.Must(t, os.MkdirAll(copied, 0o755))
	files := command(t, bazeltest.Root(t), "git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate")
	for _, name := range strings.Fields(files) {
		if strings.HasPrefix(name, "tests/") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(bazeltest.Root(t), name))
		if os.IsNotExist(err) {
			continue
		}
		bazeltest.Must(t, err)
		bazeltest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(copied, name)), 0o755))
		bazeltest.Must(t, os.WriteFile(filepath.Join(copied, name), b, 0o600))
	}
	command(t, copied, "git", "init", "--quiet")
	command(t, copied, "git", "add", "--all")
	t.Setenv("GOAMD64", "v2")
	t.Setenv("GOFLAGS", "-tags=osusergo")
	t.Setenv("TZ", "Asia/Tokyo")
	again := makeRelease(t, tool, copied, filepath.Join(t.TempDir(), "elsewhere"), r.dir)
	if d := cmp.Diff(string(read(r.dir, "SHA256SUMS")), string(read(again.dir, "SHA256SUMS"))); d != "" {
		t.Errorf("the release is another one (-first +again):\n%s", d)
	}
}

// checkSBOM compares what the SBOM says of the tool with what Go reads in it.
func (r release) checkSBOM(t *testing.T) {
	var doc struct {
		SPDXVersion   string
		Packages      []struct{ SPDXID, Name, VersionInfo string }
		Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
	}
	bazeltest.Must(t, json.Unmarshal(read(r.dir, "rules_img-"+r.version+".spdx.json"), &doc))
	if doc.SPDXVersion != "SPDX-2.3" {
		t.Errorf("it is of the version %q", doc.SPDXVersion)
	}
	name, ids := map[string]string{}, map[string]string{}
	for _, p := range doc.Packages {
		name[p.SPDXID], ids[p.Name] = p.Name+"@"+p.VersionInfo, p.SPDXID
	}
	var got, want []string
	for _, rel := range doc.Relationships {
		if rel.SPDXElementID == ids["img_"+platform] && rel.RelationshipType == "DEPENDS_ON" {
			got = append(got, name[rel.RelatedSPDXElement])
		}
	}
	info, err := buildinfo.ReadFile(filepath.Join(r.dir, "img_"+platform))
	bazeltest.Must(t, err)
	for _, m := range info.Deps {
		want = append(want, m.Path+"@"+m.Version)
	}
	want = append(want, "stdlib@"+strings.TrimPrefix(info.GoVersion, "go"))
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" || len(got) < 10 {
		t.Errorf("%d modules (-linked +named):\n%s", len(got), d)
	}
}

// command runs a program in a directory, which must succeed, and returns its stdout.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, stderr.String())
	}
	return string(out)
}

func read(dir, name string) []byte {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return b
}
