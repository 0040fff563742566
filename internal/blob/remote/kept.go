package remote

import (
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// keptBytes bounds the manifests that a repository keeps: hundreds of ordinary ones.
const keptBytes = 1 << 20

// kept are the last manifests that went through a repository: those just resolved are about to be opened, those just put
// about to be tagged, both of which need the body again.
type kept struct {
	mu     sync.Mutex
	bodies map[oci.Digest]string
	order  []oci.Digest
	size   int
}

func (k *kept) put(digest oci.Digest, body string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.bodies[digest]; ok || len(body) > keptBytes {
		return
	}
	if k.bodies == nil {
		k.bodies = map[oci.Digest]string{}
	}
	k.bodies[digest] = body
	k.order = append(k.order, digest)
	for k.size += len(body); k.size > keptBytes; k.order = k.order[1:] {
		k.size -= len(k.bodies[k.order[0]])
		delete(k.bodies, k.order[0])
	}
}

func (k *kept) get(digest oci.Digest) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	body, ok := k.bodies[digest]
	return body, ok
}
