package progress

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Bytes writes an amount for people: 999 B, 1.0 kB, 12.3 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if v /= 1000; v < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func amount(t blob.Tally) string {
	if t.Blobs == 1 {
		return "1 blob, " + Bytes(t.Bytes)
	}
	return fmt.Sprintf("%d blobs, %s", t.Blobs, Bytes(t.Bytes))
}

// Plain makes a line that may be of a stranger, such as what a registry or a daemon says of itself, harmless to a terminal: what does not print becomes
// a space.
func Plain(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, line)
}

// JSON makes a document that may have texts of a stranger harmless to a terminal, and says the same: what does not print is only in its strings, where
// it can be escaped.
func JSON(document []byte) []byte {
	var out []byte
	for _, r := range string(document) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}

// kind is what a blob is, in a word.
func kind(d oci.Descriptor) string {
	switch {
	case oci.IsIndex(d.MediaType):
		return "index"
	case oci.IsManifest(d.MediaType):
		return "manifest"
	case d.MediaType == oci.MediaTypeConfig || d.MediaType == oci.MediaTypeDockerConfig:
		return "config"
	case strings.Contains(d.MediaType, "layer") || strings.Contains(d.MediaType, "rootfs.diff"):
		return "layer"
	}
	return "blob"
}
