package cas

import (
	"encoding/hex"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Key is the name of a blob in a cache. What names it is Bazel's --digest_function.
type Key struct {
	Function repb.DigestFunction_Value
	Hash     string // hexadecimal
}

// SHA256 is the key of caches of builds with Bazel's default digest function: the digest that OCI has too.
func SHA256(d oci.Descriptor) (Key, bool) {
	return Key{repb.DigestFunction_SHA256, d.Digest.Encoded()}, true
}

// BLAKE3 is the key of caches of builds with --digest_function=blake3. of returns the hexadecimal BLAKE3 sum of a blob, which its
// descriptor does not have.
func BLAKE3(of func(oci.Digest) (string, bool)) func(oci.Descriptor) (Key, bool) {
	return func(d oci.Descriptor) (Key, bool) {
		sum, ok := of(d.Digest)
		if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != 32 {
			return Key{}, false
		}
		return Key{repb.DigestFunction_BLAKE3, sum}, true
	}
}

func (b named) digest() *repb.Digest { return &repb.Digest{Hash: b.key.Hash, SizeBytes: b.Size} }

// resource is what ByteStream calls the blob. Digest functions that are older than the field for them go without.
func (b named) resource(instance string, zstd bool) string {
	name := "blobs/"
	if zstd {
		name = "compressed-blobs/zstd/"
	}
	if instance != "" {
		name = instance + "/" + name
	}
	if b.key.Function == repb.DigestFunction_BLAKE3 {
		name += "blake3/"
	}
	return fmt.Sprintf("%s%s/%d", name, b.key.Hash, b.Size)
}
