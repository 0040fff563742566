package oci

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// CheckTag says what is wrong with a tag, if anything is.
func CheckTag(tag string) error {
	if tag == "" || len(tag) > 128 || tag[0] == '.' || tag[0] == '-' || !all(tag, isTagByte) {
		return fmt.Errorf("tag %q: want up to 128 letters, digits, '_', '.' and '-', the first not '.' or '-'", tag)
	}
	return nil
}

func checkRegistry(s string) error {
	host, port, hasPort := cutTag(s)
	if strings.HasSuffix(s, "]") { // an IPv6 address, whose last colon starts no port
		host, hasPort = s, false
	}
	if !isHost(host) {
		return fmt.Errorf("registry %q: want a host name or an address, and perhaps a port", s)
	}
	if hasPort && !isPort(port) {
		return fmt.Errorf("registry %q: %q is not a port", s, port)
	}
	return nil
}

func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && address.Is6() && address.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || !all(label, isHostByte) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && all(s, isDigit)
}

// CheckRepository says what is wrong with the name of a repository, if anything is.
func CheckRepository(s string) error {
	if s == "" {
		return errors.New("names no repository")
	}
	if len(s) > maxName {
		return fmt.Errorf("repository has %d characters: at most %d are allowed", len(s), maxName)
	}
	for part := range strings.SplitSeq(s, "/") {
		if !repositoryPart().MatchString(part) {
			return fmt.Errorf("repository %q: %q is not made of lower-case letters and digits, joined by '.', '_', '__' or dashes", s, part)
		}
	}
	return nil
}

// repositoryPart is one part of a name as the distribution specification has it.
var repositoryPart = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
})

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHostByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-'
}
func isTagByte(c byte) bool { return isHostByte(c) || c == '_' || c == '.' }
