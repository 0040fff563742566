package layer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

// tree makes a directory: a name that ends in / is an empty directory, "name -> text" a symlink, any other a file with its own name.
func makeTree(t *testing.T, names ...string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "out", "tree")
	must(t, os.MkdirAll(root, 0o755))
	for _, name := range names {
		name, text, link := strings.Cut(name, " -> ")
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case link:
			must(t, os.Symlink(text, path))
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		default:
			must(t, os.WriteFile(path, []byte(name), 0o644))
		}
	}
	return root
}

func show(t *testing.T, c Contents) []string {
	t.Helper()
	entries, err := c.Entries(t.Context())
	must(t, err)
	var lines []string
	for _, e := range entries {
		line := e.header().Name
		if e.Kind == Symlink {
			line += " -> " + e.Target
		}
		lines = append(lines, line)
	}
	return lines
}

func TestADirectoryIsTheSameHoweverBazelPutsItThere(t *testing.T) {
	names := []string{
		"a", "sub/b", "sub/in -> ../a", "sub/deep/c", "empty/", "dir -> sub/deep", "missing -> sub/none", "out -> ../../elsewhere", "far -> /nowhere/at/all",
	}
	real := makeTree(t, names...)
	must(t, os.Symlink(filepath.Join(real, "sub", "b"), filepath.Join(real, "sub", "absolute")))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(real)), "elsewhere"), []byte("e"), 0o644))
	want := []string{
		"t/a", "t/dir -> sub/deep", "t/far -> /nowhere/at/all", "t/missing -> sub/none", "t/out", "t/sub/absolute -> b", "t/sub/b", "t/sub/deep/c", "t/sub/in -> ../a",
	}

	linked := filepath.Join(t.TempDir(), "tree")
	must(t, os.Symlink(real, linked))
	files := filepath.Join(t.TempDir(), "tree") // as in the sandbox: a link for each file, symlinks to directories followed
	for _, name := range []string{"a", "dir/c", "sub/b", "sub/in", "sub/absolute", "sub/deep/c", "out"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o755))
		must(t, os.Symlink(filepath.Join(real, name), filepath.Join(files, name)))
	}
	for way, root := range map[string]string{"itself": real, "as a link": linked, "as a link for each file": files} {
		var c Contents
		must(t, c.AddFile("t", root))
		if d := cmp.Diff(want, show(t, c)); d != "" {
			t.Errorf("%s (-want +got):\n%s", way, d)
		}
	}
}

func TestSymlinksInADirectoryThatCannotBeFollowedAreErrors(t *testing.T) {
	for name, tree := range map[string][]string{
		"dangling outside": {"a -> ../../nothing"},
		"a cycle":          {"d/up -> ../../tree"},
	} {
		var c Contents
		if err := c.AddFile("t", makeTree(t, tree...)); err == nil {
			t.Errorf("%s: is no error: %v", name, show(t, c))
		}
	}
}

func TestAnEmptyDirectoryIsAnEntry(t *testing.T) {
	var c Contents
	must(t, c.AddFile("t", makeTree(t, "sub/deep/")))
	if d := cmp.Diff([]string{"t/"}, show(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDeclaredSymlinks lays out an execution root, in which symlinks are what Bazel was told and files may be links to absolute paths.
func TestDeclaredSymlinks(t *testing.T) {
	root := makeTree(t, "bazel-out/bin/lib.so.1", "bazel-out/bin/elsewhere/x",
		"bazel-out/bin/stays -> lib.so.1", "bazel-out/bin/followed -> elsewhere/x", "bazel-out/bin/nowhere -> not/given", "bazel-out/bin/host -> /etc/hostname",
		"bazel-out/bin/file -> /some/execroot/_main/bazel-out/bin/lib.so.1", "source -> bazel-out/bin/lib.so.1")
	t.Chdir(root)
	execroot := filepath.Join(t.TempDir(), "execroot", "_main")
	must(t, os.MkdirAll(execroot, 0o755))
	must(t, os.WriteFile(filepath.Join(execroot, "made"), nil, 0o644))
	must(t, os.Remove("bazel-out/bin/file"))
	must(t, os.Symlink(filepath.Join(execroot, "made"), "bazel-out/bin/file"))

	var c Contents
	for at, from := range map[string]string{
		"lib/lib.so.1": "bazel-out/bin/lib.so.1", "other/x": "bazel-out/bin/elsewhere/x", "lib/stays": "bazel-out/bin/stays", "lib/followed": "bazel-out/bin/followed",
		"lib/nowhere": "bazel-out/bin/nowhere", "lib/host": "bazel-out/bin/host", "lib/file": "bazel-out/bin/file", "lib/source": "source",
	} {
		must(t, c.AddFile(at, from))
	}
	want := []string{
		"lib/file", "lib/followed", "lib/host -> /etc/hostname", "lib/lib.so.1", "lib/nowhere -> not/given", "lib/source", "lib/stays -> lib.so.1", "other/x",
	}
	if d := cmp.Diff(want, show(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestADeclaredSymlinkKeepsItsName puts one into a directory: what it leads to may be there or, in a sandbox, not.
func TestADeclaredSymlinkKeepsItsName(t *testing.T) {
	for _, visible := range []string{"bazel-out/bin/dir/x", "bazel-out/bin/other"} {
		t.Chdir(makeTree(t, "bazel-out/bin/link -> dir", visible))
		var c Contents
		must(t, c.AddInto("lib", "bazel-out/bin/link"))
		if d := cmp.Diff([]string{"lib/link -> dir"}, show(t, c)); d != "" {
			t.Errorf("with %s there (-want +got):\n%s", visible, d)
		}
	}
}

func TestAnIdenticalDirectoryBecomesALink(t *testing.T) {
	a, b, other := makeTree(t, "x", "sub/y", "sub/l -> y"), makeTree(t, "x", "sub/y", "sub/l -> y"), makeTree(t, "x", "sub/z", "sub/l -> z")
	for name, row := range map[string]struct {
		add  func(*Contents) error
		want []string
	}{
		"elsewhere": {
			func(c *Contents) error { c.AddFile("p/q/two", b); return c.AddFile("p/one", a) },
			[]string{"p/one/sub/l -> y", "p/one/sub/y", "p/one/x", "p/q/two -> ../one"},
		},
		"with another content": {
			func(c *Contents) error { c.AddFile("one", a); return c.AddFile("two", other) },
			[]string{"one/sub/l -> y", "one/sub/y", "one/x", "two/sub/l -> z", "two/sub/z", "two/x"},
		},
		"with something else in it": {
			func(c *Contents) error { c.AddFile("one", a); c.AddEmpty("two/e"); return c.AddFile("two", b) },
			[]string{"one/sub/l -> y", "one/sub/y", "one/x", "two/e", "two/sub/l -> y", "two/sub/y", "two/x"},
		},
		"with metadata of its own": {
			func(c *Contents) error {
				c.Files = map[string]Attributes{"/two/x": {UID: ptr(1)}}
				c.AddFile("one", a)
				return c.AddFile("two", b)
			},
			[]string{"one/sub/l -> y", "one/sub/y", "one/x", "two/sub/l -> y", "two/sub/y", "two/x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Contents{LinkTrees: true}
			must(t, row.add(&c))
			if d := cmp.Diff(row.want, show(t, c)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestPathsAreCleaned(t *testing.T) {
	var c Contents
	for _, p := range []string{"./a", "/b//c", "d/../e", "-dash", "with space", "new\nline", "ünïcode"} {
		must(t, c.AddEmpty(p))
	}
	if d := cmp.Diff([]string{"-dash", "a", "b/c", "e", "new\nline", "with space", "ünïcode"}, show(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEntriesThatDoNotFitTogetherAreErrors(t *testing.T) {
	dir := makeTree(t, "one", "two")
	for name, row := range map[string]struct {
		add  func(*Contents) error
		want string
	}{
		"outside":       {func(c *Contents) error { return c.AddEmpty("a/../../b") }, "leaves the root"},
		"the root":      {func(c *Contents) error { return c.AddEmpty("/") }, "is the root of the image"},
		"a NUL":         {func(c *Contents) error { return c.AddEmpty("a\x00") }, "NUL"},
		"no target":     {func(c *Contents) error { return c.AddSymlink("a", "") }, "has no target"},
		"a device":      {func(c *Contents) error { return c.AddFile("a", os.DevNull) }, "a layer holds files, directories and symlinks"},
		"no such file":  {func(c *Contents) error { return c.AddFile("a", filepath.Join(dir, "none")) }, "no such file"},
		"twice":         {func(c *Contents) error { c.AddFile("a", dir+"/one"); return c.AddFile("/a", dir+"/two") }, "path /a: is given twice: the file " + dir + "/one, and the file " + dir + "/two"},
		"below a file":  {func(c *Contents) error { c.AddFile("a", dir+"/one"); return c.AddEmpty("a/b") }, "path /a/b (an empty file): lies below /a, which is no directory but the file "},
		"below a link":  {func(c *Contents) error { c.AddSymlink("a", "x"); return c.AddEmpty("a/b/c") }, "lies below /a"},
		"bad mode":      {func(c *Contents) error { c.Default.Mode = ptr("rwx"); return c.AddEmpty("a") }, `default_metadata: mode "rwx"`},
		"bad time":      {func(c *Contents) error { c.Default.Mtime = ptr("noon"); return c.AddEmpty("a") }, `mtime "noon"`},
		"no such entry": {func(c *Contents) error { c.Files = map[string]Attributes{"/x": {}, "y": {}}; return c.AddEmpty("a") }, "file_metadata: the layer has no /x, no /y: each key must be"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Contents
			err := row.add(&c)
			if err == nil {
				_, err = c.Entries(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v: want %q", err, row.want)
			}
		})
	}
}

func TestTheSameTwiceIsOneEntry(t *testing.T) {
	dir, copy := makeTree(t, "one"), makeTree(t, "one")
	var c Contents
	must(t, c.AddFile("a", dir+"/one"))
	must(t, c.AddFile("./a", dir+"/one"))
	must(t, c.AddFile("//a", copy+"/one"))
	if got := show(t, c); len(got) != 1 {
		t.Errorf("entries are %v", got)
	}
}

// TestCancellingEndsTheComparing has two files that are alike, as one path and in two directories.
func TestCancellingEndsTheComparing(t *testing.T) {
	a, b := makeTree(t, "one"), makeTree(t, "one")
	for name, add := range map[string]func(*Contents){
		"one path": func(c *Contents) { c.AddFile("x", a+"/one"); c.AddFile("x", b+"/one") },
		"two trees": func(c *Contents) {
			c.LinkTrees = true
			c.AddFile("x", a)
			c.AddFile("y", b)
		},
	} {
		var c Contents
		add(&c)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := reuse(&c).Entries(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if _, err := c.Entries(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: after cancelling, error is %v", name, err)
		}
	}
}

func TestWhiteoutsComeFirst(t *testing.T) {
	var c Contents
	for _, p := range []string{"d/+", "d/-x/y", "d/.wh.b", "d/.wh..wh..opq", "d/.a", "d/a"} {
		must(t, c.AddEmpty(p))
	}
	if d := cmp.Diff([]string{"d/.wh..wh..opq", "d/.wh.b", "d/+", "d/-x/y", "d/.a", "d/a"}, show(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMetadata(t *testing.T) {
	c := Contents{
		CreateParents: true,
		Default:       Attributes{Mode: ptr("0640"), UID: ptr(5), Mtime: ptr("2024-01-31T12:00:00Z"), PAXRecords: map[string]string{"A.a": "1", "A.b": "1"}},
		Files:         map[string]Attributes{"/d/f": {Mode: ptr("4755"), GID: ptr(9), PAXRecords: map[string]string{"A.b": "2"}}},
	}
	must(t, c.AddEmpty("d/f"))
	must(t, c.AddEmpty("d/g"))
	must(t, c.AddSymlink("l", "d"))
	entries, err := c.Entries(t.Context())
	must(t, err)
	for i, want := range []struct {
		path string
		mode int64
		gid  int
	}{{"d", 0o750, 0}, {"d/f", 0o4755, 9}, {"d/g", 0o640, 0}, {"l", 0o755, 0}} {
		e := entries[i]
		if e.Path != want.path || e.Mode != want.mode || e.GID != want.gid || e.UID != 5 || e.Mtime.Unix() != 1706702400 {
			t.Errorf("entry is %+v: want %+v", e, want)
		}
	}
	if d := cmp.Diff(map[string]string{"A.a": "1", "A.b": "2"}, entries[1].PAXRecords); d != "" {
		t.Errorf("records of d/f (-want +got):\n%s", d)
	}
}

func TestSecurityAttributesAreBytes(t *testing.T) {
	records := func(v string) map[string]string {
		return map[string]string{"SCHILY.xattr.security.capability": v, "SCHILY.xattr.user.name": "ü"}
	}
	c := Contents{Default: Attributes{PAXRecords: records("\x01\u0080\x00")}}
	must(t, c.AddEmpty("a"))
	entries, err := c.Entries(t.Context())
	must(t, err)
	if d := cmp.Diff(records("\x01\x80\x00"), entries[0].PAXRecords); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	c.Default.PAXRecords = records("Ā")
	if _, err := c.Entries(t.Context()); err == nil || !strings.Contains(err.Error(), "is binary") {
		t.Errorf("error is %v", err)
	}
}
