package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ParseDigest checks that s is a SHA-256 digest in its canonical form, the only one this project reads and
// writes.
func ParseDigest(s string) (Digest, error) {
	hexa, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(hexa) != 2*sha256.Size || strings.ToLower(hexa) != hexa {
		return "", fmt.Errorf("digest %q: want sha256: and 64 lower-case hexadecimal digits", s)
	}
	if _, err := hex.DecodeString(hexa); err != nil {
		return "", fmt.Errorf("digest %q: want sha256: and 64 lower-case hexadecimal digits", s)
	}
	return Digest(s), nil
}

// DigestOf returns the SHA-256 digest of b.
func DigestOf(b []byte) Digest { return digest.FromBytes(b) }

// DigestOfSum turns a finished SHA-256 sum into a digest.
func DigestOfSum(sum []byte) Digest { return Digest("sha256:" + hex.EncodeToString(sum)) }

// ReadDigest returns the SHA-256 digest of what r has.
func ReadDigest(r io.Reader) (Digest, error) { return digest.FromReader(r) }

// Describe returns the descriptor of b.
func Describe(mediaType string, b []byte) Descriptor {
	return Descriptor{MediaType: mediaType, Digest: DigestOf(b), Size: int64(len(b))}
}
