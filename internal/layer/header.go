package layer

import (
	"archive/tar"
	"bytes"
	"strings"
)

const block = 512

// headers writes the headers of tar members. Nearly all fit the plain USTAR format and are written here, since this is a good part of
// the work on small files; archive/tar writes the others, in the same way.
type headers struct {
	b []byte
}

// header returns the blocks that precede a member's content. They are good until the next call.
func (h *headers) header(e *Entry) ([]byte, error) {
	h.b = append(h.b[:0], empty[:block]...)
	if ustar(h.b, e) {
		return h.b, nil
	}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(e.header()); err != nil {
		return nil, err
	}
	h.b = append(h.b[:0], b.Bytes()...)
	return h.b, nil
}

// empty is padding, and the end of an archive.
var empty [2 * block]byte

// ustar writes e's header to a zeroed block, unless something about it needs PAX records.
func ustar(b []byte, e *Entry) bool {
	name, prefix, ok := split(e)
	seconds := int64(0)
	if !e.Mtime.IsZero() {
		seconds = e.Mtime.Unix()
	}
	if !ok || !plain(e.Target, 100) || !plain(e.Uname, 32) || !plain(e.Gname, 32) || len(e.PAXRecords) > 0 || e.Mtime.Nanosecond() != 0 {
		return false
	}
	copy(b, name)
	fits := octal(b[100:108], e.Mode) && octal(b[108:116], int64(e.UID)) && octal(b[116:124], int64(e.GID)) &&
		octal(b[124:136], e.Size) && octal(b[136:148], seconds) && octal(b[329:337], e.Major) && octal(b[337:345], e.Minor)
	if !fits {
		return false
	}
	b[156] = typeflags[e.Kind]
	copy(b[157:], e.Target)
	copy(b[257:], "ustar\x0000")
	copy(b[265:], e.Uname)
	copy(b[297:], e.Gname)
	copy(b[345:], prefix)
	checksum(b)
	return true
}

// split divides a member's name as USTAR can hold it.
func split(e *Entry) (name, prefix string, ok bool) {
	name = e.Path
	if e.Kind == Directory {
		if len(name) >= 100 {
			return "", "", false
		}
		name += "/"
	}
	if !plain(name, 256) || e.Path == "" {
		return "", "", false
	}
	if len(name) <= 100 {
		return name, "", true
	}
	i := strings.LastIndexByte(name[:min(len(name), 156)], '/')
	if i <= 0 || len(name)-i-1 > 100 || i+1 == len(name) {
		return "", "", false
	}
	return name[i+1:], name[:i], true
}

// plain reports whether s is at most n bytes of ASCII.
func plain(s string, n int) bool {
	for i := range len(s) {
		if s[i]-1 >= 0x7f {
			return false
		}
	}
	return len(s) <= n
}

// octal writes n and a NUL, if there is room.
func octal(b []byte, n int64) bool {
	if n < 0 || n >= 1<<(3*(len(b)-1)) {
		return false
	}
	b[len(b)-1] = 0
	for i := len(b) - 2; i >= 0; i-- {
		b[i] = '0' + byte(n&7)
		n >>= 3
	}
	return true
}

func checksum(b []byte) {
	sum := 8 * int64(' ')
	for _, c := range b {
		sum += int64(c)
	}
	octal(b[148:155], sum)
	b[155] = ' '
}
