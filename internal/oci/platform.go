package oci

import (
	"cmp"
	"fmt"
	"strings"
)

// ParsePlatform reads "os/arch" or "os/arch/variant" and normalises it. Any system and architecture is taken, not
// only those the rules build for, since a base may be for others.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, fmt.Errorf("platform %q: want os/arch or os/arch/variant", s)
	}
	for _, part := range parts {
		if !isPlatformWord(part) {
			return Platform{}, fmt.Errorf("platform %q: %q is not made of lower-case letters, digits, '.', '_' and '-'", s, part)
		}
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return NormalizePlatform(p), nil
}

// FormatPlatform is the inverse of [ParsePlatform].
func FormatPlatform(p Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// NormalizePlatform gives each variant its one name: arm64 without a variant is v8, v8.0 is v8 and v9.0 is v9.
func NormalizePlatform(p Platform) Platform {
	if p.Architecture != "arm64" {
		return p
	}
	switch p.Variant {
	case "", "v8.0":
		p.Variant = "v8"
	case "v9.0":
		p.Variant = "v9"
	}
	return p
}

// ComparePlatforms orders platforms for output that must always be the same. It says nothing about which is better.
func ComparePlatforms(a, b Platform) int {
	return cmp.Or(
		strings.Compare(a.OS, b.OS),
		strings.Compare(a.Architecture, b.Architecture),
		strings.Compare(a.Variant, b.Variant),
		strings.Compare(a.OSVersion, b.OSVersion),
	)
}

func isPlatformWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
