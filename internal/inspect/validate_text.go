package inspect

import "io"

// mostFindings are written: a manifest may have a hundred thousand layers, and none of them.
const mostFindings = 100

// Verdict writes what [Reader.Validate] found.
func (t Text) Verdict(w io.Writer, v *Verdict) error {
	return t.write(w, func(p printer) {
		for _, f := range v.Findings[:min(len(v.Findings), mostFindings)] {
			p.line("%s: %s", f.Severity, printable(f.Message))
			p.field("", string(f.Digest))
		}
		if more := len(v.Findings) - mostFindings; more > 0 {
			p.line("and %d more, which --json tells", more)
		}
		outcome := "valid"
		if !v.Valid {
			outcome = "not valid"
		}
		p.line("%s: %s (%s, %s)", printable(v.Name), outcome, count(v.Blobs, "blob"), p.Bytes(v.Bytes))
	})
}
