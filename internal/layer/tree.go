package layer

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxLinks is how many directories a walk enters by symlinks, one inside the other. More is a cycle.
const maxLinks = 40

// tree is a directory that became part of a layer.
type tree struct {
	at, from string
	entries  []Entry
}

// walkTree calls add for each file and symlink of a directory, with its path in it. The result is the same whether Bazel
// put the directory there itself, made a symlink to it, or made one for each file (its sandbox does, follows symlinks to
// directories on the way, and leaves out empty ones): so directories are no entries of their own.
//
// A symlink that leads to something in the same directory stays one, relative. All others are followed, but one that leads to
// nothing and is absolute stays as it is: it is meant for the image.
func walkTree(root string, files *lookup, add func(Entry) error) error {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	// What the sandbox has a copy of may be a symlink again.
	if real, err = filepath.EvalSymlinks(origin(real, filepath.Base(root))); err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil {
		return err
	}
	return walk{root: real, files: files, add: add}.directory("")
}

// origin is the directory that a sandbox's copy of it, which has a symlink for each file, was made from: each of them is absolute and
// ends in the path of what it stands for.
func origin(dir, name string) string {
	at, ok := firstLeaf(dir, "")
	if !ok {
		return dir
	}
	text, err := os.Readlink(filepath.Join(dir, filepath.FromSlash(at)))
	if err != nil || !filepath.IsAbs(text) {
		return dir
	}
	from, ok := strings.CutSuffix(filepath.ToSlash(text), "/"+at)
	if !ok || path.Base(from) != name {
		return dir
	}
	return filepath.FromSlash(from)
}

// firstLeaf is the first path in a directory that is no directory.
func firstLeaf(dir, at string) (string, bool) {
	list, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(at)))
	if err != nil {
		return "", false
	}
	for _, d := range list {
		below := path.Join(at, d.Name())
		if !d.IsDir() {
			return below, true
		}
		if leaf, ok := firstLeaf(dir, below); ok {
			return leaf, true
		}
	}
	return "", false
}

// walk goes through one directory. Paths in it are relative to it.
type walk struct {
	root  string
	at    string // where it is in the tree
	links int    // how many symlinks led to it
	files *lookup
	add   func(Entry) error
}

func (w walk) directory(dir string) error {
	list, err := os.ReadDir(filepath.Join(w.root, filepath.FromSlash(dir)))
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := w.visit(path.Join(dir, d.Name()), d.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (w walk) visit(name string, mode fs.FileMode) error {
	file := filepath.Join(w.root, filepath.FromSlash(name))
	isLink := mode&fs.ModeSymlink != 0
	if isLink {
		text, stays, err := w.link(file, name)
		if err != nil {
			return err
		}
		if stays {
			return w.add(Entry{Path: path.Join(w.at, name), Kind: Symlink, Target: text})
		}
	}
	found, err := w.files.status(file)
	switch {
	case err != nil:
		return fmt.Errorf("symlink in a directory that becomes part of a layer: %w", err)
	case found.mode.IsDir() && isLink:
		return w.follow(file, name)
	case found.mode.IsDir():
		return w.directory(name)
	case found.mode.IsRegular():
		return w.add(Entry{Path: path.Join(w.at, name), Kind: File, From: file, Size: found.size, file: found.file})
	}
	return notForLayers(file, found.mode)
}

func notForLayers(file string, mode fs.FileMode) error {
	return fmt.Errorf("%s: is a %s: a layer holds files, directories and symlinks", file, mode.Type())
}

// follow walks the directory that a symlink leads to, as a tree of its own below the symlink's path.
func (w walk) follow(file, name string) error {
	if w.links == maxLinks {
		return fmt.Errorf("%s: symlinks lead into each other without end", file)
	}
	root, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	return walk{root: root, at: path.Join(w.at, name), links: w.links + 1, files: w.files, add: w.add}.directory("")
}

// link returns the text of a symlink, and whether it stays one.
func (w walk) link(file, name string) (string, bool, error) {
	text, err := os.Readlink(file)
	if err != nil {
		return "", false, err
	}
	if !filepath.IsAbs(text) {
		text = filepath.ToSlash(text)
		to := path.Join(path.Dir(name), text)
		return text, to != ".." && !strings.HasPrefix(to, "../"), nil
	}
	if below, err := filepath.Rel(w.root, text); err == nil && filepath.IsLocal(below) {
		text, err = filepath.Rel(filepath.FromSlash(path.Dir(name)), below)
		return filepath.ToSlash(text), true, err
	}
	_, err = os.Stat(file)
	return filepath.ToSlash(text), os.IsNotExist(err), nil
}
