package release_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// consumer is a workspace on a machine without Go, beside a registry with a base.
type consumer struct {
	*bazeltest.Workspace
	*testing.T
	registry string
}

func (r release) consumer(t *testing.T) consumer {
	t.Helper()
	registry := bazeltest.StartRegistry(t)
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: strings.Split(platform, "_")[1], OS: "linux", Author: "base"})
	bazeltest.Must(t, err)
	ref, err := name.ParseReference(registry + "/base:v1")
	bazeltest.Must(t, err)
	bazeltest.Must(t, remote.Write(ref, image))
	digest, err := image.Digest()
	bazeltest.Must(t, err)
	var source struct{ Integrity string }
	bazeltest.Must(t, json.Unmarshal(read(r.dir, "modules/rules_img/"+r.version+"/source.json"), &source))
	c := consumer{bazeltest.NewWorkspace(t, "workspace", "release", "DIGEST", digest.String(), "REGISTRY", registry,
		"RELEASE", r.dir, "VERSION", r.version, "INTEGRITY", source.Integrity, `"0.4.0"`, `"`+r.version+`"`), t, registry}
	own := filepath.Join(c.Dir, "own_img")
	os.Remove(own) // a worker of the last run may still run it
	bazeltest.Must(t, os.WriteFile(own, r.program("img"), 0o755))
	c.Prefix = []string{"env", "PATH=" + pathWithoutGo(t)}
	c.Flags = []string{"--repository_cache=" + t.TempDir()} // an empty one: the tool must fetch the base
	return c
}

// pathWithoutGo is a directory with all programs of $PATH, and not Go.
func pathWithoutGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(from)
		for _, e := range entries {
			if e.Name() != "go" {
				os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())) // the first of a name stays
			}
		}
	}
	return dir
}

// push pushes the image and looks at what the registry has.
func (c consumer) push() {
	c.Helper()
	out := strings.Fields(c.Bazel("run", "//:push", "--", "--registry", c.registry))
	if len(out) != 2 {
		c.Fatalf("the push printed %q", out)
	}
	ref, err := name.ParseReference(out[0])
	bazeltest.Must(c, err)
	image, err := remote.Image(ref)
	bazeltest.Must(c, err)
	if err := validate.Image(image); err != nil {
		c.Errorf("the pushed image is not valid: %v", err)
	}
	config, err := image.ConfigFile()
	bazeltest.Must(c, err)
	if config.Author != "base" || len(config.RootFS.DiffIDs) != 1 {
		c.Errorf("the image is not the base and a layer: %+v", config)
	}
}

// usesPrograms compares the programs in Bazel's repositories with those of the release.
func (c consumer) usesPrograms(r release) {
	c.Helper()
	external := strings.TrimSpace(c.Bazel("info", "output_base")) + "/external/"
	for repo, program := range map[string]string{"tool_" + platform: "img", "tool_host": "img", "registry_" + platform: "registry", "bes_" + platform: "bes"} {
		found, err := filepath.Glob(external + "*rules_img_" + repo + "/" + program)
		bazeltest.Must(c, err)
		// WORKSPACE and bzlmod have names of their own for a repository.
		if !slices.ContainsFunc(found, func(path string) bool { return bytes.Equal(read("", path), r.program(program)) }) {
			c.Errorf("%s: none of %q is the release's", repo, found)
		}
	}
}

func (r release) use(t *testing.T) {
	c := r.consumer(t)
	c.Flags = append(c.Flags, bazeltest.Registry(t, r.dir)...)
	c.push()
	c.Bazel("build", "//:servers")
	c.usesPrograms(r)
	t.Run("lockfiles", func(t *testing.T) { c.lockfiles(t, r) })
	t.Run("a toolchain of the user's own", c.ownToolchain)
}

// lockfiles has the workspace name lockfiles of its own.
func (c consumer) lockfiles(t *testing.T, r release) {
	c.WriteFile("tool.MODULE.bazel", fromLockfile)
	for _, bad := range badLockfiles(r) {
		c.WriteFile("lock.json", bad.text)
		wantIn(t, bad.name, c.Fails("build", "//:layer"), bad.want...)
	}
}

const fromLockfile = `prebuilt_img_tool = use_extension("@rules_img//img:extensions.bzl", "prebuilt_img_tool")
prebuilt_img_tool.from_lockfile(file = "//:lock.json")
`

type badLockfile struct {
	name, text string
	want       []string
}

func badLockfiles(r release) []badLockfile {
	good := string(read(r.dir, "prebuilt_lockfile.json"))
	os, _, _ := strings.Cut(platform, "_")
	other := map[bool]string{true: "darwin", false: "linux"}[os == "linux"]
	return []badLockfile{
		{"from source without Go", "[]", []string{"no `go` on PATH", "//:lock.json does not have it for any platform", "prebuilt_img_tool.from_lockfile(file = "}},
		{"another platform", strings.ReplaceAll(good, `"`+os+`"`, `"`+other+`"`), []string{"//:lock.json only has it for " + other + "/", "no `go` on PATH"}},
		{"a field that is wrong", strings.ReplaceAll(good, `"`+os+`"`, `"macos"`), []string{`//:lock.json: entry 1: os: is "macos": want one of android, darwin,`}},
		{"another integrity", otherIntegrity(good), []string{"//:lock.json: entry ", "can't be had with the integrity sha256-AAAA", "file://" + r.dir + "/img_" + platform, "Checksum was"}},
	}
}

// otherIntegrity is a lockfile whose programs have other bytes than it says.
func otherIntegrity(lockfile string) string {
	lines := strings.Split(lockfile, "\n")
	for i, line := range lines {
		if before, _, ok := strings.Cut(line, "sha256-"); ok {
			lines[i] = before + "sha256-" + strings.Repeat("A", 43) + `=",`
		}
	}
	return strings.Join(lines, "\n")
}

// ownToolchain registers a toolchain, and nothing else could build: there is neither a prebuilt tool nor Go.
func (c consumer) ownToolchain(t *testing.T) {
	c.WriteFile("lock.json", "[]")
	c.WriteFile("tool.MODULE.bazel", fromLockfile+"\nregister_toolchains(\"//:own\")\n")
	c.Bazel("build", "//:layer")
	wantIn(t, "the action", c.Bazel("aquery", "--output=text", `mnemonic("ImgLayer", //:layer)`), "own_img")
}

func (r release) useWithoutBzlmod(t *testing.T) {
	c := r.consumer(t)
	c.Flags = append(c.Flags, bazeltest.WithoutBzlmod(t)...)
	c.push()
	c.Bazel("build", "//:servers")
	c.usesPrograms(r)
	c.WriteFile("tool.bzl", "def register(toolchains):\n    toolchains(lockfile = \"//:lock.json\")\n")
	for _, bad := range badLockfiles(r)[:2] {
		c.WriteFile("lock.json", bad.text)
		wantIn(t, bad.name, c.Fails("build", "//:layer"), bad.want...)
	}
}

func wantIn(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: does not say %q:\n%s", what, want, text)
		}
	}
}
