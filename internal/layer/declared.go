package layer

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// declaredLink returns the text of a symlink that Bazel knows as one (ctx.actions.declare_symlink). The rules of Bazel 7 cannot tell
// it from a file, but it can be seen: Bazel puts it in place with its own text, while what stands for a file is a symlink only to the
// absolute path of something in the execution root. Source files are always files.
func (c *Contents) declaredLink(from string) (string, bool) {
	if !strings.HasPrefix(c.inRoot(from), "bazel-out/") {
		return "", false
	}
	text, ok := c.files.link(from)
	if !ok {
		return "", false
	}
	text = filepath.ToSlash(text)
	return text, !filepath.IsAbs(text) || !c.inExecutionRoot(text)
}

// inExecutionRoot reports whether an absolute path names something in the execution root, which is Dir or the working directory: an output or,
// by where it really is, a source file.
func (c *Contents) inExecutionRoot(text string) bool {
	if strings.Contains(text, "/execroot/") {
		return true
	}
	info, err := os.Stat(text)
	if err != nil {
		return false
	}
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "/")
		if !found {
			return false
		}
		if here, err := os.Stat(filepath.Join(c.Dir, after)); err == nil && os.SameFile(info, here) {
			return true
		}
		rest = after
	}
}

// settleLinks decides what becomes of declared symlinks. One that leads to something in the layer stays; one that leads to a file that
// the action was given is replaced by that; what is left can't be followed in the same way everywhere, and stays too.
func (c *Contents) settleLinks() ([]Entry, error) {
	isDeclared := func(e Entry) bool { return e.Kind == Symlink && e.From != "" }
	if !slices.ContainsFunc(c.entries, isDeclared) {
		return c.entries, nil
	}
	inImage, given := c.paths(), c.inputs()
	settled := Contents{Dir: c.Dir, Digests: c.Digests}
	defer settled.files.close()
	for _, e := range c.entries {
		target := path.Join(path.Dir(filepath.ToSlash(e.From)), e.Target)
		stays := !isDeclared(e) || path.IsAbs(e.Target) || inImage[path.Join(path.Dir(e.Path), e.Target)] || !given[target]
		if stays {
			settled.entries = append(settled.entries, e)
		} else if err := settled.AddFile(e.Path, target); err != nil {
			return nil, err
		}
	}
	return settled.entries, nil
}

// paths are those of all entries and of the directories above them.
func (c *Contents) paths() map[string]bool {
	all := map[string]bool{}
	for _, e := range c.entries {
		for p := e.Path; p != "." && !all[p]; p = path.Dir(p) {
			all[p] = true
		}
	}
	return all
}

// inputs are the files and directories that entries come from.
func (c *Contents) inputs() map[string]bool {
	all := map[string]bool{}
	for _, e := range c.entries {
		all[path.Clean(filepath.ToSlash(e.From))] = true
	}
	for _, t := range c.trees {
		all[path.Clean(filepath.ToSlash(t.from))] = true
	}
	return all
}
