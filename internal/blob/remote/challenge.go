package remote

import (
	"net/http"
	"strings"
)

// challenge is how a registry wants to be shown credentials.
type challenge struct {
	scheme     string // "basic" or "bearer"
	parameters map[string]string
}

// parseChallenges reads the WWW-Authenticate headers of an answer and returns the first challenge that we can meet; bearer
// before basic, since who offers both wants the former.
func parseChallenges(header http.Header) (challenge, bool) {
	var all []challenge
	for _, value := range header.Values("WWW-Authenticate") {
		all = append(all, splitChallenges(value)...)
	}
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.scheme == scheme && (scheme == "basic" || c.parameters["realm"] != "") {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// splitChallenges reads `scheme key=value, key="value", scheme …`, RFC 9110, 11.6.1.
func splitChallenges(s string) []challenge {
	var all []challenge
	for s = skip(s); s != ""; s = skip(s) {
		word, rest := token(s)
		if word == "" {
			return all // not what the specification says: keep what was good
		}
		key, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "=")
		if !ok {
			all = append(all, challenge{strings.ToLower(word), map[string]string{}})
			s = rest
			continue
		}
		var value string
		value, s = valueOf(strings.TrimLeft(key, " \t"))
		if len(all) > 0 {
			all[len(all)-1].parameters[strings.ToLower(word)] = value
		}
	}
	return all
}

func skip(s string) string { return strings.TrimLeft(s, " \t,") }

func token(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t,=\""); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// valueOf reads a token or a quoted string.
func valueOf(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
