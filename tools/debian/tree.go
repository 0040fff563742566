package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

// tree gathers the files of packages as the entries of one layer.
type tree struct {
	scratch string
	entries []layer.Entry
	seen    map[string]bool // paths of entries
}

// unneeded is what images leave out: documentation except licences, translations, character sets.
var unneeded = regexp.MustCompile(`^usr/(share/(doc-base|info|lintian|locale|man|menu)(/|$)|lib/[^/]+/gconv/|share/doc/[^/]+/([^c]|c[^o]|copyright.))`)

// merged are the directories that Debian keeps below /usr, with links to them in the root.
var merged = regexp.MustCompile(`^(bin|sbin|lib|lib64)(/|$)`)

// unpack adds the files of a package, and what dpkg would know of it, where scanners look.
func (t *tree) unpack(ctx context.Context, name, deb string) error {
	control, err := output(ctx, "dpkg-deb", "--field", deb)
	if err != nil {
		return err
	}
	if err := t.file("var/lib/dpkg/status.d/"+name, bytes.NewReader(control)); err != nil {
		return err
	}
	archive, err := output(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	if err != nil {
		return err
	}
	return t.read(tar.NewReader(bytes.NewReader(archive)))
}

func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return out, nil
}

func (t *tree) read(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.member(h, r); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// member adds one member of a package's archive.
func (t *tree) member(h *tar.Header, r io.Reader) error {
	p := path.Clean(h.Name)
	if p == "." || unneeded.MatchString(p) {
		return nil
	}
	if merged.MatchString(p) {
		p = "usr/" + p
	}
	e := layer.Entry{Path: p, Metadata: &layer.Metadata{Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid, Mtime: h.ModTime}}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = layer.Directory
		return t.entry(e)
	case tar.TypeSymlink:
		e.Kind, e.Target = layer.Symlink, h.Linkname
		return t.entry(e)
	case tar.TypeReg:
		return t.add(e, r)
	}
	return fmt.Errorf("is of the type %q, which no package of the base has", h.Typeflag)
}

// entry adds an entry. Many packages have the same directory; the first one's counts.
func (t *tree) entry(e layer.Entry) error {
	if t.seen[e.Path] {
		if e.Kind == layer.Directory {
			return nil
		}
		return errors.New("two packages have it")
	}
	t.seen[e.Path] = true
	t.entries = append(t.entries, e)
	return nil
}

// add adds a file with the content of r.
func (t *tree) add(e layer.Entry, r io.Reader) error {
	e.Kind = layer.File
	f, err := os.CreateTemp(t.scratch, "file-")
	if err != nil {
		return err
	}
	defer f.Close()
	e.From = f.Name()
	if e.Size, err = io.Copy(f, r); err != nil {
		return err
	}
	return t.entry(e)
}
