// Package internal_test checks the laws of ARCHITECTURE.md that the compiler does not.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bazel-contrib/rules_img/"

// pkg is one package of the module, without its tests.
type pkg struct {
	path    string // below the module
	files   map[string]*ast.File
	imports []string // by others' full paths, and by this module's below it
}

// packages parses all packages of the module below the folders.
func packages(t *testing.T, folders ...string) []pkg {
	t.Helper()
	found := map[string]*pkg{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("..", folder), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && isElsewhere(file) {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			return add(found, file)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var all []pkg
	for _, p := range found {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b pkg) int { return strings.Compare(a.path, b.path) })
	return all
}

// isElsewhere reports whether a directory is not for this module: hidden, Bazel's, or a module of its own, as the pinned tools are.
func isElsewhere(dir string) bool {
	name := filepath.Base(dir)
	if name == "testdata" || strings.HasPrefix(name, "bazel-") || strings.HasPrefix(name, ".") && name != ".." {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil && dir != ".."
}

func add(found map[string]*pkg, file string) error {
	src, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ParseComments)
	if err != nil {
		return err
	}
	at := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")
	p := found[at]
	if p == nil {
		p = &pkg{path: at, files: map[string]*ast.File{}}
		found[at] = p
	}
	p.files[filepath.Base(file)] = parsed
	for _, i := range parsed.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, strings.TrimPrefix(name, module))
	}
	return nil
}

// exceptions are the packages that are built on an adapter because their very promise is: a directory of blobs, or what another daemon keeps.
var exceptions = map[string]string{
	"internal/blob/daemon/docker": "internal/blob/daemon/containerd", // Docker may keep its images in one
	"internal/inspect":            "internal/layer/estargz",          // what an index says of a layer is a format, for who writes and who reads it
	"internal/layout":             "internal/blob/dir",               // an OCI layout is a directory of blobs with an index
	"internal/registry/store":     "internal/blob/dir",               // a registry's durability is the directory's
}

// mayImport is the law of directions: cmd → adapters → blob → oci, cmd → domain → blob, oci.
func mayImport(from, to string) bool {
	switch {
	case exceptions[from] == to, idea(from) == idea(to):
		return true
	case strings.HasPrefix(from, "cmd/") && strings.HasPrefix(to, "cmd/internal/"):
		return true
	case strings.HasPrefix(to, "proto/"):
		return !strings.HasPrefix(from, "internal/blob") && from != "internal/oci"
	case !strings.HasPrefix(to, "internal/"):
		return false // neither a command nor a tool is for others
	case strings.HasPrefix(from, "cmd/"):
		return true
	case from == "internal/oci":
		return false
	case from == "internal/blob", from == "internal/request":
		return to == "internal/oci"
	case strings.HasPrefix(from, "internal/blob/") && to == "internal/layout":
		return true // a daemon takes the archives that layout writes
	}
	return to == "internal/blob" || to == "internal/oci"
}

// idea is the package that others below it belong to: packages of one idea may import each other. Below internal/blob each adapter is an idea.
func idea(of string) string {
	parts := strings.Split(of, "/")
	depth := 2
	if strings.HasPrefix(of, "internal/blob/") {
		depth = 3
	}
	return strings.Join(parts[:min(depth, len(parts))], "/")
}

func TestImportsGoInOneDirection(t *testing.T) {
	for _, p := range packages(t, "cmd", "internal") {
		for _, to := range p.imports {
			ours := slices.Contains([]string{"cmd", "internal", "tools", "tests", "bench"}, strings.Split(to, "/")[0])
			if ours && !mayImport(p.path, to) {
				t.Errorf("%s imports %s: ARCHITECTURE.md, Laws, says which way imports go", p.path, to)
			}
		}
	}
}

func TestTheLawHasTeeth(t *testing.T) {
	for _, row := range []struct {
		from, to string
		may      bool
	}{
		{"cmd/img", "internal/blob/remote", true},
		{"cmd/img", "cmd/registry", false},
		{"cmd/img", "cmd/internal/wiring", true},
		{"internal/deploy", "cmd/internal/wiring", false},
		{"internal/deploy", "internal/blob", true},
		{"internal/deploy", "internal/blob/remote", false},
		{"internal/layer", "internal/manifest", false},
		{"internal/blob/dir", "internal/blob", true},
		{"internal/blob/dir", "internal/blob/mem", false},
		{"internal/blob/dir", "internal/deploy", false},
		{"internal/blob", "internal/blob/dir", false},
		{"internal/blob/daemon/containerd", "internal/blob/daemon", true},
		{"internal/request", "internal/blob", false},
		{"internal/oci", "internal/blob", false},
		{"internal/layer", "tools/debian", false},
		{"internal/registry/store", "internal/blob/dir", true},
		{"internal/registry", "internal/registry/store", true},
		{"internal/registry", "internal/blob/dir", false},
		{"internal/layer/archive", "internal/layer/estargz", true},
		{"internal/layer/archive", "internal/manifest", false},
	} {
		if got := mayImport(row.from, row.to); got != row.may {
			t.Errorf("mayImport(%s, %s) is %v", row.from, row.to, got)
		}
	}
}

func TestOCIDependsOnTheOCITypesAlone(t *testing.T) {
	for _, p := range packages(t, "internal/oci") {
		for _, to := range p.imports {
			if strings.Contains(to, ".") && !strings.HasPrefix(to, "github.com/opencontainers/") {
				t.Errorf("%s imports %s", p.path, to)
			}
		}
	}
}

// TestPackagesSayWhatTheyAre wants one doc comment for each package, in the file where one looks for it.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t, ".") {
		var documented []string
		for name, f := range p.files {
			if f.Doc != nil {
				documented = append(documented, name)
			}
		}
		want := path.Base(p.path) + ".go"
		for _, f := range p.files {
			if f.Name.Name == "main" {
				want = "main.go"
			}
		}
		if !slices.Equal(documented, []string{want}) {
			t.Errorf("%s: its doc comment is in %q: want it in %s alone", p.path, documented, want)
		}
	}
}
