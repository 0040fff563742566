package inspect

import (
	"fmt"
	"io"
	"strings"
)

// Difference writes what [Compare] found. When there is nothing, it writes nothing.
func (t Text) Difference(w io.Writer, d *Difference) error {
	return t.write(w, func(p printer) {
		if d.Same {
			return
		}
		p.line("--- %s %s", printable(d.A.Name), p.Bytes(d.A.Size))
		p.field("", string(d.A.Digest))
		p.line("+++ %s %s", printable(d.B.Name), p.Bytes(d.B.Size))
		p.field("", string(d.B.Digest))
		p.difference(d)
		for _, s := range d.OnlyA {
			p.line("\n- %s %s\n%9s%s", printable(s.Name), p.Bytes(s.Size), "", s.Digest)
		}
		for _, s := range d.OnlyB {
			p.line("\n+ %s %s\n%9s%s", printable(s.Name), p.Bytes(s.Size), "", s.Digest)
		}
		for _, inner := range d.Images {
			p.line("\n~ %s %s -> %s", printable(inner.A.Name), p.Bytes(inner.A.Size), p.Bytes(inner.B.Size))
			p.field("-", string(inner.A.Digest))
			p.field("+", string(inner.B.Digest))
			p.difference(inner)
		}
	})
}

func (p printer) difference(d *Difference) {
	p.changes("manifest", d.Manifest)
	p.changes("config", d.Config)
	if len(d.Layers) > 0 {
		p.line("layers:")
		for _, c := range d.Layers {
			p.layerChange(c)
		}
	}
	if len(d.Files) > 0 {
		p.line("files: %s", counts(d.Files))
		for _, c := range d.Files {
			p.fileChange(c)
		}
	}
}

func (p printer) changes(what string, all []Change) {
	if len(all) == 0 {
		return
	}
	p.line("%s:", what)
	for _, c := range all {
		switch {
		case c.A == nil:
			p.line("  + %s: %s", printable(c.Path), printable(string(c.B)))
		case c.B == nil:
			p.line("  - %s: %s", printable(c.Path), printable(string(c.A)))
		default:
			p.line("  ~ %s:\n      - %s\n      + %s", printable(c.Path), printable(string(c.A)), printable(string(c.B)))
		}
	}
}

func (p printer) layerChange(c LayerChange) {
	switch {
	case c.A == nil:
		p.side("+", c.B, "")
	case c.B == nil:
		p.side("-", c.A, "")
	default:
		p.side("-", c.A, ", the same content")
		p.side("+", c.B, ", the same content")
	}
}

func (p printer) side(sign string, l *Layer, note string) {
	p.line("  %s %d: %s %s%s", sign, l.Number, p.Bytes(l.Size), mediaWord(l.MediaType), note)
	p.field("", string(l.Digest))
}

func counts(all []FileChange) string {
	var added, removed, changed int
	for _, c := range all {
		switch {
		case c.A == nil:
			added++
		case c.B == nil:
			removed++
		default:
			changed++
		}
	}
	return fmt.Sprintf("%d added, %d removed, %d changed", added, removed, changed)
}

func (p printer) fileChange(c FileChange) {
	switch {
	case c.A == nil:
		p.line("  + /%s%s (%s)", printable(c.Path), printable(markOf(*c.B)), p.about(c.B))
	case c.B == nil:
		p.line("  - /%s%s (%s)", printable(c.Path), printable(markOf(*c.A)), p.about(c.A))
	default:
		var all []string
		for _, what := range c.What {
			all = append(all, what+" "+p.was(what, c.A)+" -> "+p.was(what, c.B))
		}
		p.line("  ~ /%s: %s", printable(c.Path), strings.Join(all, ", "))
	}
}

func (p printer) about(f *File) string {
	s := fmt.Sprintf("%04o %d:%d", int64(f.Mode), f.UID, f.GID)
	if f.Type == TypeFile {
		s += ", " + p.Bytes(f.Size)
	}
	return s
}

// was is the part of a file that what is about.
func (p printer) was(what string, f *File) string {
	switch what {
	case "content":
		return p.Bytes(f.Size)
	case "mode":
		return fmt.Sprintf("%04o", int64(f.Mode))
	case "owner":
		return fmt.Sprintf("%d:%d", f.UID, f.GID)
	case "target":
		return printable(f.Target)
	case "device":
		return f.Device
	case "xattrs":
		return printable(fmt.Sprint(sortedKeys(f.Xattrs)))
	}
	return f.Type
}
