package request

import "strings"

// A plainRecord can decode the lines that nearly all are without what encoding/json costs for each.
type plainRecord interface {
	// plain decodes a line and reports whether it could. It does not judge those that it can't.
	plain(line []byte) bool
}

// plain decodes an object without white space, escapes and characters beyond ASCII.
func (r *LayerRecord) plain(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	rest, ok := strings.CutPrefix(string(line), "{") // the strings of the record are parts of this one
	for ok {
		if rest, ok = r.member(rest); rest == "}" {
			return ok
		}
		if ok {
			rest, ok = strings.CutPrefix(rest, ",")
		}
	}
	return false
}

// member decodes the first member of an object and returns what follows it.
func (r *LayerRecord) member(s string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(s, `"into":true`); ok {
		r.Into = true
		return rest, true
	}
	key, rest, ok := strings.Cut(s, `":"`)
	if !ok {
		return "", false
	}
	value, rest, ok := strings.Cut(rest, `"`)
	return rest, ok && r.set(key, value)
}

// set sets the string of a key with its first quote.
func (r *LayerRecord) set(key, value string) bool {
	switch key {
	case `"type`:
		r.Type = value
	case `"under`:
		r.Under = value
	case `"path`:
		r.Path = value
	case `"from`:
		r.From = value
	case `"target`:
		r.Target = value
	default:
		return false
	}
	return true
}
