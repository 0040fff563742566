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

// walkTree calls add for each file and symlink of a directory, with its path in it. The result is the same whether Bazel
// put the directory there itself, made a symlink to it, or made one for each file (its sandbox does, and leaves out empty
// directories): so directories are no entries of their own.
//
// A symlink whose text is relative and leads to something in the same directory stays one. All others are followed.
func walkTree(root string, add func(Entry) error) error {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	t := tree{root: real, name: filepath.Base(root), add: add}
	return t.walk(real, "", 0)
}

type tree struct {
	root string // where it really is
	name string // its last component where the rules see it
	add  func(Entry) error
}

// walk visits the directory dir, whose path in the tree is at.
func (t tree) walk(dir, at string, links int) error {
	if links > maxLinks {
		return fmt.Errorf("%s: symlinks lead into each other without end", dir)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := t.visit(filepath.Join(dir, d.Name()), path.Join(at, d.Name()), d.Type(), links); err != nil {
			return err
		}
	}
	return nil
}

func (t tree) visit(file, at string, mode fs.FileMode, links int) error {
	if mode&fs.ModeSymlink != 0 {
		if target, ok := t.inside(file, at); ok {
			return t.add(Entry{Path: at, Kind: Symlink, Target: target})
		}
		links++
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("symlink in a directory that becomes part of a layer: %w", err)
	}
	switch {
	case info.IsDir():
		return t.walk(file, at, links)
	case info.Mode().IsRegular():
		return t.add(Entry{Path: at, Kind: File, From: file, Size: info.Size()})
	}
	return fmt.Errorf("%s: is a %s: a layer holds files, directories and symlinks", file, info.Mode().Type())
}

// inside returns the text of the symlink if it leads to something in the tree. It looks through the sandbox's own link,
// which is absolute and ends in the path of what it stands for.
func (t tree) inside(file, at string) (string, bool) {
	text, err := os.Readlink(file)
	if err != nil {
		return "", false
	}
	if filepath.IsAbs(text) {
		if !strings.HasSuffix(filepath.ToSlash(text), "/"+t.name+"/"+at) {
			return "", false
		}
		if text, err = os.Readlink(text); err != nil || filepath.IsAbs(text) {
			return "", false
		}
	}
	text = filepath.ToSlash(text)
	to := path.Join(path.Dir(at), text)
	if to == ".." || strings.HasPrefix(to, "../") {
		return "", false
	}
	_, err = os.Stat(filepath.Join(t.root, filepath.FromSlash(to)))
	return text, err == nil
}
