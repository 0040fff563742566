package inspect

import "io"

// Verdict writes what [Reader.Validate] found.
func (t Text) Verdict(w io.Writer, v *Verdict) error {
	return t.write(w, func(p printer) {
		for _, f := range v.Findings {
			p.line("%s: %s", f.Severity, printable(f.Message))
			p.field("", string(f.Digest))
		}
		outcome := "valid"
		if !v.Valid {
			outcome = "not valid"
		}
		p.line("%s: %s (%s, %s)", printable(v.Name), outcome, count(v.Blobs, "blob"), p.Bytes(v.Bytes))
	})
}
