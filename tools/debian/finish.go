package debian

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

// accounts are files that base-passwd's script makes of its masters.
var accounts = map[string]string{
	"usr/share/base-passwd/group.master":  "etc/group",
	"usr/share/base-passwd/passwd.master": "etc/passwd",
}

// finish does to the files what the scripts of the packages among them would do.
func (t *tree) finish() error {
	for _, do := range []func() error{t.accounts, t.certificates, t.links} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) accounts() error {
	for _, e := range t.entries {
		if to, ok := accounts[e.Path]; ok {
			if err := t.entry(layer.Entry{Path: to, From: e.From, Size: e.Size, Metadata: e.Metadata}); err != nil {
				return err
			}
		}
	}
	return nil
}

// certificates makes the bundle that TLS libraries, Go's among them, read.
func (t *tree) certificates() error {
	var bundle bytes.Buffer
	for _, e := range t.entries {
		if e.Kind == layer.File && strings.HasPrefix(e.Path, "usr/share/ca-certificates/") {
			b, err := os.ReadFile(e.From)
			if err != nil {
				return err
			}
			bundle.Write(bytes.TrimSpace(b))
			bundle.WriteByte('\n')
		}
	}
	if bundle.Len() == 0 {
		return nil
	}
	return t.file("etc/ssl/certs/ca-certificates.crt", &bundle)
}

// links makes the root's links to the directories below /usr, in the layer that has these.
func (t *tree) links() error {
	if !t.seen["usr/sbin"] {
		return nil
	}
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if t.seen["usr/"+name] {
			if err := t.entry(layer.Entry{Path: name, Kind: layer.Symlink, Target: "usr/" + name, Metadata: &layer.Metadata{Mode: 0o777}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// file adds a file that no package has.
func (t *tree) file(path string, r io.Reader) error {
	return t.add(layer.Entry{Path: path, Metadata: &layer.Metadata{Mode: 0o644}}, r)
}
