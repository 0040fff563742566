// Release makes, out of a checkout, everything that a release of rules_img is: the programs for each platform, the lockfile that names them,
// the module's archive, its entry for a registry of modules, an SBOM and checksums. docs/releasing.md says what to do with them.
//
// The law: the same commit and the same Go make the same bytes, in whatever directory and on whatever machine.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Where a release of this project is published.
const published = "https://github.com/bazel-contrib/rules_img/releases/download/v{version}"

// release is one run of this program.
type release struct {
	root      string // the checkout
	out       string // is filled, and takes its place when it is complete
	version   string
	url       string // of the folder that will have the files; {version} stands for the version
	time      time.Time
	platforms []platform
	programs  []string
	vets      bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "what is released: the version of MODULE.bazel, as in 0.4.0")
	out := flags.String("out", "", "`folder` to make; out/release/VERSION if empty")
	url := flags.String("url", published, "where the folder will be found; {version} stands for the version")
	platforms := flags.String("platforms", every, "which programs to build")
	dirty := flags.Bool("dirty", false, "release what is not committed, too: to try it")
	vets := flags.Bool("vet", true, "look at the code of each system first")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := prepare(*version, *out, *url, *platforms, *dirty)
	if err != nil {
		return err
	}
	r.vets = *vets
	return r.make()
}

// prepare checks what is asked for, before anything is written.
func prepare(version, out, url, platforms string, dirty bool) (*release, error) {
	root, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	r := &release{root: root, version: version, out: out, url: strings.TrimSuffix(url, "/")}
	if err := r.checkVersion(); err != nil {
		return nil, err
	}
	if r.platforms, err = parsePlatforms(platforms); err != nil {
		return nil, err
	}
	if r.time, err = commitTime(root); err != nil {
		return nil, err
	}
	if err := checkCommitted(root); err != nil && !dirty {
		return nil, err
	}
	if r.programs, err = programs(root); err != nil {
		return nil, err
	}
	return r, nil
}

var moduleVersion = regexp.MustCompile(`(?s)\bmodule\([^)]*?\bversion = "([^"]*)"`)

// checkVersion fails unless the version is that of MODULE.bazel: a release is what is committed, and no more.
func (r *release) checkVersion() error {
	b, err := os.ReadFile(filepath.Join(r.root, "MODULE.bazel"))
	if err != nil {
		return fmt.Errorf("%w: run this at the top of the checkout", err)
	}
	found := moduleVersion.FindStringSubmatch(string(b))
	if found == nil {
		return fmt.Errorf("MODULE.bazel: module() has no version")
	}
	if found[1] != r.version {
		return fmt.Errorf("--version is %q, MODULE.bazel says %q: they must be the same, so change that and commit it first", r.version, found[1])
	}
	return nil
}

// make writes the release beside its place, and renames it when it is complete.
func (r *release) make() error {
	place, err := filepath.Abs(r.out)
	if r.out == "" {
		place, err = filepath.Join(r.root, "out", "release", r.version), nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(place); err == nil {
		return fmt.Errorf("%s is there already: remove it, or name another place with --out", place)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	if r.out, err = os.MkdirTemp(filepath.Dir(place), ".release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.out) // when it is complete, it is not there any more
	if err := r.fill(); err != nil {
		return err
	}
	if err := os.Rename(r.out, place); err != nil {
		return err
	}
	fmt.Printf("%s\n", place)
	fmt.Fprintf(os.Stderr, "release: rules_img %s by %s, for %d platforms: %s\n", r.version, runtime.Version(), len(r.platforms), strings.Join(r.programs, ", "))
	return nil
}

// fill writes all files: each step needs those before it.
func (r *release) fill() error {
	if err := os.Chmod(r.out, 0o755); err != nil {
		return err
	}
	for _, step := range []func() error{r.vet, r.build, r.writeLockfile, r.writeArchive, r.writeEntry, r.writeSBOM, r.writeChecksums} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// expanded is the place where a file of the release will be found.
func (r *release) expanded(name string) string {
	return strings.ReplaceAll(r.url, "{version}", r.version) + "/" + name
}

// write writes a file of the release, and the folders that it is in.
func (r *release) write(name string, b []byte) error {
	path := filepath.Join(r.out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
