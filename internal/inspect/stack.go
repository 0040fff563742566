package inspect

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// stack is the file system of a container: layers, one over the other.
type stack struct {
	root     node
	contents []*content
}

// node is a path.
type node struct {
	parent   *node
	depth    int
	children map[string]*node
	file     *File    // nil for a directory that no layer has a member of, and for what is gone
	content  *content // of a file that is not empty
}

// content is that of one file of one layer, which hard links may share.
type content struct {
	layer   int // its number
	file    *File
	visible bool
	removed bool // by a whiteout
}

func newStack() *stack {
	s := &stack{}
	s.root.parent = &s.root
	return s
}

// apply puts a layer on top. Its whiteouts are about the layers below alone, wherever they are in the archive.
func (s *stack) apply(layer int, files []File) error {
	for i := range files {
		s.remove(&files[i])
	}
	for i := range files {
		if err := s.put(layer, &files[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) remove(f *File) {
	switch f.Type {
	case TypeWhiteout:
		dir, base := s.split(f.Path)
		if parent := s.walk(dir, false); parent != nil && parent.children[base] != nil {
			parent.children[base].gone()
			delete(parent.children, base)
		}
	case TypeOpaque:
		if n := s.walk(f.Path, false); n != nil {
			for _, c := range n.children {
				c.gone()
			}
			n.children = nil
		}
	}
}

// gone marks all contents below n as removed. Those that other links still lead to are visible all the same.
func (n *node) gone() {
	if n.content != nil {
		n.content.removed = true
	}
	for _, c := range n.children {
		c.gone()
	}
}

func (s *stack) put(layer int, f *File) error {
	if f.Type == TypeWhiteout || f.Type == TypeOpaque || f.Path == "" {
		return nil
	}
	dir, base := s.split(f.Path)
	parent := s.walk(dir, true)
	if parent == nil || parent.depth >= maxDirs {
		return fmt.Errorf("layer %d: %.100q is, behind symlinks, deeper than %d directories", layer, f.Path, maxDirs)
	}
	old := parent.children[base]
	fresh := parent.child()
	fresh.file = f
	if old != nil && old.isDirectory() && f.Type == TypeDirectory {
		fresh.children = old.children
		for _, c := range fresh.children {
			c.parent = fresh
		}
	}
	switch {
	case f.Type == TypeLink:
		fresh.link(s.find(f.Target))
	case f.Type == TypeFile && f.Size > 0:
		fresh.content = &content{layer: layer, file: f}
		s.contents = append(s.contents, fresh.content)
	}
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[base] = fresh
	return nil
}

// link makes n another name of a file.
func (n *node) link(to *node) {
	if to != nil && to.file != nil {
		own := *to.file
		own.Path = n.file.Path
		n.file, n.content = &own, to.content
	}
}

func (n *node) isDirectory() bool { return n.file == nil || n.file.Type == TypeDirectory }

func (s *stack) split(p string) (dir, base string) {
	dir, base = path.Split(p)
	return strings.TrimSuffix(dir, "/"), base
}

// find is what is at a path, which may be a symlink itself.
func (s *stack) find(p string) *node {
	dir, base := s.split(p)
	if parent := s.walk(dir, false); parent != nil {
		return parent.children[base]
	}
	return nil
}

// maxHops is how many symlinks a path may lead through, as in Linux.
const maxHops = 40

// walk is the directory at a path. Symlinks lead to where they do in a container, whose root nothing leaves. With create, what is missing is made.
func (s *stack) walk(p string, create bool) *node {
	at, rest, hops := &s.root, strings.Split(p, "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at.parent
			continue
		}
		next := at.children[part]
		if next != nil && next.file != nil && next.file.Type == TypeSymlink && hops < maxHops {
			hops++
			if strings.HasPrefix(next.file.Target, "/") {
				at = &s.root
			}
			rest = slices.Concat(strings.Split(next.file.Target, "/"), rest)
			continue
		}
		if next == nil || !next.isDirectory() {
			if !create || at.depth >= maxDirs {
				return nil
			}
			next = at.make(part)
		}
		at = next
	}
	return at
}

// make makes a directory, in place of what is there.
func (n *node) make(name string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[name] = n.child()
	return n.children[name]
}

func (n *node) child() *node { return &node{parent: n, depth: n.depth + 1} }

// visit calls each for everything that a container sees, in order.
func (n *node) visit(at string, each func(path string, n *node)) {
	for _, name := range sortedKeys(n.children) {
		c := n.children[name]
		p := path.Join(at, name)
		each(p, c)
		c.visit(p, each)
	}
}

// look marks the contents that a container sees.
func (s *stack) look() {
	s.root.visit("", func(_ string, n *node) {
		if n.content != nil {
			n.content.visible = true
		}
	})
}
