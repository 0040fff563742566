package inspect

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Text is how reports are written for people: in at most 80 columns, as long as names and commands let it.
type Text struct {
	// Bytes writes an amount.
	Bytes func(int64) string
	// Depth is how many levels of directories a tree has, and Top how many entries of each and of lists; 0 is all.
	Depth, Top int
}

// printer writes lines, and keeps the first error.
type printer struct {
	Text
	*bufio.Writer
}

func (t Text) write(w io.Writer, do func(printer)) error {
	p := printer{t, bufio.NewWriter(w)}
	do(p)
	return p.Flush()
}

func (p printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// field writes a labelled line, unless it is empty.
func (p printer) field(label, value string) {
	if value != "" {
		p.line("%-9s%s", label, value)
	}
}

// Report writes what [Reader.Inspect] found.
func (t Text) Report(w io.Writer, r *Report) error {
	return t.write(w, func(p printer) {
		p.head(r.Node, r.Name)
		switch {
		case r.Kind == KindIndex:
			p.field("size", p.Bytes(r.Total))
			p.manifests(r.Manifests)
			return
		case r.Config != nil && r.Config.Content != nil:
			p.config(r.Config)
		}
		p.field("size", p.sizes(r))
		for _, l := range r.Layers {
			p.layer(r.Kind, l)
		}
		p.twice(r)
		p.hidden(r)
	})
}

func (p printer) head(n *Node, name string) {
	p.field(n.Kind, printable(name))
	p.field("digest", string(n.Digest))
	p.field("type", printable(n.ArtifactType))
	if n.Subject != nil {
		p.field("about", printable(string(n.Subject.Digest)))
	}
	p.field("platform", printable(n.Platform))
	p.pairs("note", n.Annotations)
}

func (p printer) pairs(label string, m map[string]string) {
	for _, k := range sortedKeys(m) {
		p.field(label, printable(k)+"="+short(m[k], 60))
		label = ""
	}
}

func (p printer) manifests(all []*Node) {
	p.line("")
	for _, m := range all {
		name := cmp.Or(m.Platform, m.ArtifactType, m.Kind)
		if m.Kind != KindImage && name != m.Kind {
			name += ", " + m.Kind
		}
		p.line("%s: %s", printable(name), p.amount(m))
		p.field("", string(m.Digest))
		if m.Kind == KindIndex {
			p.manifests(m.Manifests)
		}
	}
}

func (p printer) amount(n *Node) string {
	if n.Layers == nil {
		return p.Bytes(n.Total)
	}
	return p.Bytes(n.Total) + " in " + count(len(n.Layers), "layer")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (p printer) config(c *Config) {
	p.field("created", printable(c.image.Created))
	p.field("author", short(c.image.Author, 70))
	run := c.image.Config
	p.field("user", printable(run.User))
	p.field("workdir", printable(run.WorkingDir))
	for _, command := range []struct {
		label string
		words []string
	}{{"entry", run.Entrypoint}, {"cmd", run.Cmd}} {
		if command.words != nil {
			p.field(command.label, printable(fmt.Sprintf("%q", command.words)))
		}
	}
	label := "env"
	for _, e := range run.Env {
		p.field(label, printable(e))
		label = ""
	}
	p.field("ports", printable(strings.Join(sortedKeys(run.ExposedPorts), " ")))
	p.field("volumes", printable(strings.Join(sortedKeys(run.Volumes), " ")))
	p.field("stop", printable(run.StopSignal))
	p.pairs("label", run.Labels)
}

func (p printer) sizes(r *Report) string {
	s := p.amount(r.Node)
	if r.Unpacked > 0 {
		s += ", " + p.Bytes(r.Unpacked) + " unpacked"
	}
	if hidden := r.Unpacked - r.Visible; hidden > 0 {
		s += ", of it " + p.Bytes(hidden) + " hidden"
	}
	return s
}

func (p printer) layer(kind string, l *Layer) {
	what := "layer"
	if kind != KindImage {
		what = "blob"
	}
	p.line("\n%s %d: %s %s", what, l.Number, p.Bytes(l.Size), mediaWord(l.MediaType))
	p.field("digest", string(l.Digest))
	p.field("title", printable(l.Annotations["org.opencontainers.image.title"]))
	p.field("by", short(l.CreatedBy, 70))
	if len(l.descriptor.URLs) > 0 {
		p.field("where", printable(strings.Join(l.descriptor.URLs, " "))+" (not in the registry)")
	}
	if l.IndexError != "" {
		p.field("index", "was of no use: "+printable(l.IndexError))
	}
	if l.Read == "" {
		return
	}
	known := ""
	if l.Read == ReadIndex {
		known = ", by the layer's index"
	}
	p.field("files", fmt.Sprintf("%d, %s%s", len(l.Files), p.Bytes(l.Unpacked), known))
	p.tree(treeOf(l.Files), "/", 0)
}

// mediaWord is the short name of a layer's type, or all of an unknown one.
func mediaWord(t string) string {
	switch oci.ToOCI(t) {
	case oci.MediaTypeLayer:
		return "(uncompressed)"
	case oci.MediaTypeLayerGzip:
		return "(gzip)"
	case oci.MediaTypeLayerZstd:
		return "(zstd)"
	}
	return "(" + printable(t) + ")"
}

// branch is a directory with all below it, or a file.
type branch struct {
	name     string
	size     int64
	files    int
	mark     string
	children map[string]*branch
}

func treeOf(files []File) *branch {
	root := &branch{}
	for _, f := range files {
		at := root
		for part := range strings.SplitSeq(f.Path, "/") {
			at.size += f.Size
			if f.Type != TypeDirectory {
				at.files++
			}
			if part != "" {
				at = at.child(part)
			}
		}
		at.size += f.Size
		at.mark = markOf(f)
		if f.Type != TypeDirectory && f.Path != "" {
			at.files++
		}
	}
	return root
}

func (b *branch) child(name string) *branch {
	if b.children == nil {
		b.children = map[string]*branch{}
	}
	if b.children[name] == nil {
		b.children[name] = &branch{name: name}
	}
	return b.children[name]
}

func markOf(f File) string {
	switch f.Type {
	case TypeDirectory:
		return "/"
	case TypeSymlink:
		return " -> " + f.Target
	case TypeLink:
		return " = /" + f.Target
	case TypeWhiteout:
		return " (removed)"
	case TypeOpaque:
		return "/ (what was in it is removed)"
	case TypeFile:
		return ""
	}
	return " (" + f.Type + ")"
}

func (p printer) tree(b *branch, name string, depth int) {
	p.line("%10s %6s  %s%s", p.Bytes(b.size), fileCount(b), strings.Repeat("  ", depth), printable(name))
	if p.Depth > 0 && depth >= p.Depth {
		return
	}
	for i, c := range b.largest() {
		if p.Top > 0 && i == p.Top {
			rest := len(b.children) - i
			p.line("%10s %6s  %sand %d more", "", "", strings.Repeat("  ", depth+1), rest)
			return
		}
		mark := c.mark
		if mark == "" && c.children != nil {
			mark = "/"
		}
		p.tree(c, c.name+mark, depth+1)
	}
}

func fileCount(b *branch) string {
	if b.children == nil {
		return ""
	}
	return strconv.Itoa(b.files)
}

// largest are the children, the largest first.
func (b *branch) largest() []*branch {
	var all []*branch
	for _, name := range sortedKeys(b.children) {
		all = append(all, b.children[name])
	}
	slices.SortStableFunc(all, func(x, y *branch) int { return cmp.Compare(y.size, x.size) })
	return all
}

func (p printer) twice(r *Report) {
	if len(r.Twice) == 0 {
		return
	}
	p.line("\nstored twice: %s (%s within layers, %s across)", p.Bytes(r.Within+r.Across), p.Bytes(r.Within), p.Bytes(r.Across))
	for i, t := range r.Twice {
		if p.Top > 0 && i == p.Top {
			p.line("%10s  and %d more", "", len(r.Twice)-i)
			return
		}
		p.line("%10s  %d x %s", p.Bytes(t.Wasted()), len(t.Copies), p.Bytes(t.Size))
		for j, c := range t.Copies {
			if p.Top > 0 && j == p.Top {
				p.line("%12sand %d more", "", len(t.Copies)-j)
				break
			}
			p.line("%12slayer %d /%s", "", c.Layer, printable(c.Path))
		}
	}
}

func (p printer) hidden(r *Report) {
	if r.Unpacked == r.Visible {
		return
	}
	p.line("\nhidden by later layers: %s", p.Bytes(r.Unpacked-r.Visible))
	for _, l := range r.Layers {
		if l.WhitedOut+l.Replaced > 0 {
			p.line("%10s  of layer %d: %s removed, %s replaced", p.Bytes(l.WhitedOut+l.Replaced), l.Number, p.Bytes(l.WhitedOut), p.Bytes(l.Replaced))
		}
	}
}

// printable makes text of an image harmless to terminals and to who reads lines: control characters are escaped.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// short is s in one line of at most n characters.
func short(s string, n int) string {
	r := []rune(printable(strings.Join(strings.Fields(s), " ")))
	if len(r) > n {
		r = append(r[:n-1], '…')
	}
	return string(r)
}
