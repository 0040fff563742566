package layer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"
)

// linkTrees replaces each directory that holds the same as an earlier one, in the order of paths, by a relative symlink to that.
// A directory stays when something else is put into it, or when metadata is set for something in it: then it is not the same.
func (c *Contents) linkTrees(ctx context.Context, entries []Entry) ([]Entry, error) {
	trees := slices.Clone(c.trees)
	slices.SortStableFunc(trees, func(a, b tree) int { return comparePaths(a.at, b.at) })
	first := map[string][]tree{}
	linked := map[string]string{}
	n := c.below()
	for _, t := range trees {
		if t.at == "" || n[t.at] != len(t.entries) {
			continue
		}
		key := t.shape()
		switch to, ok, err := t.identical(ctx, first[key]); {
		case err != nil:
			return nil, err
		case ok:
			linked[t.at] = to
		default:
			first[key] = append(first[key], t)
		}
	}
	return replaceTrees(entries, linked), nil
}

// replaceTrees leaves out what is below each path of links and puts a symlink there.
func replaceTrees(entries []Entry, links map[string]string) []Entry {
	var out []Entry
	for _, e := range entries {
		if !inAny(e.Path, links) {
			out = append(out, e)
		}
	}
	for at, to := range links {
		out = append(out, Entry{Path: at, Kind: Symlink, Target: relative(path.Dir(at), to)})
	}
	return out
}

func inAny(p string, dirs map[string]string) bool {
	for p = path.Dir(p); p != "."; p = path.Dir(p) {
		if _, ok := dirs[p]; ok {
			return true
		}
	}
	return false
}

// relative is the text that leads from a directory of the image to a path.
func relative(dir, to string) string {
	up := ""
	for dir != "." && !below(to, dir) {
		dir, up = path.Dir(dir), up+"../"
	}
	if dir == "." {
		return up + to
	}
	return up + strings.TrimPrefix(to, dir+"/")
}

// identical finds a tree among others of its shape that holds the same.
func (t tree) identical(ctx context.Context, others []tree) (string, bool, error) {
	for _, o := range others {
		same, err := t.same(ctx, o)
		if err != nil || same {
			return o.at, same, err
		}
	}
	return "", false, nil
}

func (t tree) same(ctx context.Context, o tree) (bool, error) {
	for i := range t.entries {
		if same, err := t.entries[i].same(ctx, &o.entries[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// shape is the same for trees that may hold the same: the paths, kinds, sizes and texts in them.
func (t tree) shape() string {
	sum := sha256.New()
	for _, e := range t.entries {
		fmt.Fprintf(sum, "%q %d %d %q\n", strings.TrimPrefix(e.Path, t.at), e.Kind, e.Size, e.Target)
	}
	return string(sum.Sum(nil))
}

// below counts how many entries are below each tree's path, to tell the trees that are all that the layer has there. One that has
// metadata of its own is not told.
func (c *Contents) below() map[string]int {
	n := map[string]int{}
	for _, t := range c.trees {
		n[t.at] = 0
	}
	count := func(p string, by int) {
		for p = path.Dir(p); p != "."; p = path.Dir(p) {
			if _, ok := n[p]; ok {
				n[p] += by
			}
		}
	}
	for _, e := range c.entries {
		count(e.Path, 1)
	}
	for p := range c.Files {
		if clean, err := cleanPath(p); err == nil {
			count(clean, len(c.entries))
		}
	}
	return n
}

func below(p, dir string) bool {
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}
