package layer

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Contents gathers what a layer is to hold. The zero value is empty.
type Contents struct {
	// Default applies to every entry; Files overrides it by path, field by field.
	Default Attributes
	Files   map[string]Attributes
	// CreateParents adds an entry for each parent directory that has none.
	CreateParents bool
	// LinkTrees makes a directory that holds the same as an earlier one a symlink to that.
	LinkTrees bool
	// Dir is the execution root, when that is not the working directory: a worker's requests have sandboxes of their own.
	Dir string
	// Digests are those of files that are known, by path in the execution root. See [Entry].
	Digests map[string]string

	entries []Entry
	trees   []tree
	files   lookup
}

// AddFile puts the file from at a path. When from is a directory, what is in it goes below the path.
func (c *Contents) AddFile(at, from string) error {
	at, err := cleanDirectory(at)
	if err != nil {
		return err
	}
	if text, ok := c.declaredLink(from); ok {
		return c.add(Entry{Path: at, Kind: Symlink, Target: text, From: from})
	}
	found, err := c.files.status(from)
	if err != nil {
		return fmt.Errorf("path /%s: %w", at, err)
	}
	switch {
	case found.mode.IsDir():
		return c.addTree(at, from)
	case !found.mode.IsRegular():
		return fmt.Errorf("path /%s: %w", at, notForLayers(from, found.mode))
	}
	return c.add(Entry{Path: at, Kind: File, From: from, Size: found.size, Digest: c.digest(from), file: found.file})
}

// digest is that of a file, if it is known.
func (c *Contents) digest(from string) string {
	if c.Digests == nil {
		return ""
	}
	return c.Digests[c.inRoot(from)]
}

// inRoot is the path of a file in the execution root.
func (c *Contents) inRoot(from string) string {
	from = filepath.ToSlash(from)
	if c.Dir == "" {
		return from
	}
	return strings.TrimPrefix(from, filepath.ToSlash(filepath.Clean(c.Dir))+"/")
}

// AddInto puts the file from into a directory, under its own name. When from is a directory, what is in it goes into the directory.
// A declared symlink keeps its name whatever it leads to, since that need not be there.
func (c *Contents) AddInto(dir, from string) error {
	if _, ok := c.declaredLink(from); !ok {
		if found, err := c.files.status(from); err == nil && found.mode.IsDir() {
			return c.AddFile(dir, from)
		}
	}
	return c.AddFile(dir+"/"+filepath.Base(from), from)
}

// addTree adds what is in a directory. One that has nothing in it is an entry itself.
func (c *Contents) addTree(at, from string) error {
	first := len(c.entries)
	err := walkTree(from, &c.files, func(e Entry) error {
		e.Digest = c.digest(from + "/" + e.Path)
		e.Path = path.Join(at, e.Path)
		return c.add(e)
	})
	switch {
	case err != nil:
		return fmt.Errorf("path /%s: %w", at, err)
	case len(c.entries) > first:
		c.trees = append(c.trees, tree{at: at, from: from, entries: c.entries[first:len(c.entries):len(c.entries)]})
	case at != "":
		return c.add(Entry{Path: at, Kind: Directory})
	}
	return nil
}

// AddEmpty puts an empty file at a path.
func (c *Contents) AddEmpty(at string) error { return c.add(Entry{Path: at, Kind: File}) }

// AddSymlink puts a symlink with a text at a path.
func (c *Contents) AddSymlink(at, target string) error {
	if target == "" {
		return fmt.Errorf("symlink %q: has no target", at)
	}
	return c.add(Entry{Path: at, Kind: Symlink, Target: target})
}

func (c *Contents) add(e Entry) error {
	p, err := cleanPath(e.Path)
	if err != nil {
		return err
	}
	e.Path = p
	c.entries = append(c.entries, e)
	return nil
}

// Entries returns the contents in the order of the archive, each with its metadata. It reads files, which ctx ends, where only what is
// in them can tell whether two are alike. It may be called once.
func (c *Contents) Entries(ctx context.Context) ([]Entry, error) {
	defer c.files.close()
	entries, err := c.settleLinks()
	if err != nil {
		return nil, err
	}
	if c.LinkTrees {
		if entries, err = c.linkTrees(ctx, entries); err != nil {
			return nil, err
		}
	}
	c.entries, c.trees = nil, nil // they can be many
	if entries, err = arrange(ctx, entries); err != nil {
		return nil, err
	}
	if c.CreateParents {
		entries = withParents(entries)
	}
	return entries, c.describe(entries)
}

// withParents adds the directories above sorted entries that are not among them, in place if there is room.
func withParents(entries []Entry) []Entry {
	missing := missingParents(entries)
	n := len(entries)
	entries = slices.Grow(entries, len(missing))[:n+len(missing)]
	for i, p := range slices.Backward(missing) {
		copy(entries[p.before+i+1:], entries[p.before:n])
		entries[p.before+i] = Entry{Path: p.path, Kind: Directory}
		n = p.before
	}
	return entries
}

// parent is a directory, and the number of the first entry below it.
type parent struct {
	path   string
	before int
}

// missingParents finds directories that are not among sorted entries. What is below a directory follows it at once: so it is there already when
// the entry before is it, or below it.
func missingParents(entries []Entry) []parent {
	var missing []parent
	before := ""
	for i := range entries {
		p := entries[i].Path
		for j := range len(p) {
			if p[j] == '/' && before != p[:j] && !below(before, p[:j]) {
				missing = append(missing, parent{p[:j], i})
			}
		}
		before = p
	}
	return missing
}

// cleanDirectory is cleanPath for what may be a directory's contents: they can go to the root.
func cleanDirectory(at string) (string, error) {
	if strings.Trim(at, "/.") == "" && !strings.Contains(at, "..") {
		return "", nil
	}
	return cleanPath(at)
}
