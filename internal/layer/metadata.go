package layer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Attributes are metadata that a user sets. A nil field is not set.
type Attributes struct {
	Mode         *string // octal
	UID, GID     *int
	Uname, Gname *string
	Mtime        *string // RFC 3339
	PAXRecords   map[string]string
}

// describe gives each entry its metadata and checks that each path of Files is one.
func (c *Contents) describe(entries []Entry) error {
	files, err := c.cleanFiles()
	if err != nil {
		return err
	}
	defaults, err := c.defaults() // shared: there may be very many entries
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		e.Metadata = &defaults[e.Kind]
		if a, ok := files[e.Path]; ok {
			own := *e.Metadata
			e.Metadata = &own
			if err := a.apply(e, false); err != nil {
				return fmt.Errorf("file_metadata of /%s: %w", e.Path, err)
			}
			delete(files, e.Path)
		}
	}
	if len(files) > 0 {
		return fmt.Errorf("file_metadata: the layer has no /%s: each key must be the path of something in the layer", strings.Join(slices.Sorted(maps.Keys(files)), ", no /"))
	}
	return nil
}

// defaults are the metadata of each kind of entries.
func (c *Contents) defaults() (all [len(typeflags)]Metadata, err error) {
	for kind := range all {
		e := Entry{Kind: Kind(kind), Metadata: &all[kind]}
		all[kind] = Metadata{Mode: 0o755, Mtime: time.Unix(0, 0)}
		if err := c.Default.apply(&e, true); err != nil {
			return all, fmt.Errorf("default_metadata: %w", err)
		}
	}
	return all, nil
}

func (c *Contents) cleanFiles() (map[string]Attributes, error) {
	files := map[string]Attributes{}
	for p, a := range c.Files {
		clean, err := cleanPath(p)
		if err != nil {
			return nil, fmt.Errorf("file_metadata: %w", err)
		}
		if _, twice := files[clean]; twice {
			return nil, fmt.Errorf("file_metadata: /%s is given twice", clean)
		}
		files[clean] = a
	}
	return files, nil
}

// apply sets what a sets. As a default, a mode is that of files: a directory can be entered by whom it lets read, and a
// symlink's mode means nothing and stays.
func (a Attributes) apply(e *Entry, isDefault bool) error {
	if a.Mode != nil {
		mode, err := strconv.ParseInt(*a.Mode, 8, 64)
		if err != nil || mode < 0 || mode > 0o7777 {
			return fmt.Errorf("mode %q: want permission bits in octal, such as 0644", *a.Mode)
		}
		switch {
		case isDefault && e.Kind == Directory:
			e.Mode = mode | mode&0o444>>2
		case !isDefault || e.Kind == File:
			e.Mode = mode
		}
	}
	if a.Mtime != nil {
		t, err := time.Parse(time.RFC3339, *a.Mtime)
		if err != nil {
			return fmt.Errorf("mtime %q: want a time such as 2024-01-31T12:00:00Z (RFC 3339)", *a.Mtime)
		}
		e.Mtime = t.UTC()
	}
	set(&e.UID, a.UID)
	set(&e.GID, a.GID)
	set(&e.Uname, a.Uname)
	set(&e.Gname, a.Gname)
	return a.applyRecords(e)
}

func (a Attributes) applyRecords(e *Entry) error {
	if len(a.PAXRecords) == 0 {
		return nil
	}
	records := map[string]string{}
	maps.Copy(records, e.PAXRecords)
	for k, v := range a.PAXRecords {
		if strings.HasPrefix(k, "SCHILY.xattr.security.") {
			var err error
			if v, err = bytesOf(v); err != nil {
				return fmt.Errorf("pax_records: %s: %w", k, err)
			}
		}
		records[k] = v
	}
	e.PAXRecords = records
	return nil
}

// bytesOf makes a byte of each character. What the kernel keeps in the security namespace, such as file capabilities, is binary, and
// a string of Starlark holds text.
func bytesOf(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return "", fmt.Errorf("%q: is binary: want one character from \\0 to \\377 for each byte", s)
		}
		b = append(b, byte(r))
	}
	return string(b), nil
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}
