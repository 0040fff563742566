package guides_test

import (
	"math/rand"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// pushBase puts what stands for a distribution's image into the registry, under each name, and returns its digest, which is the same each time.
func pushBase(t *testing.T, registry string, names ...string) string {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for i, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7"} {
		p, err := v1.ParsePlatform(platform)
		bazeltest.Must(t, err)
		image, err := random.Image(1024, 1, random.WithSource(rand.NewSource(int64(i))))
		bazeltest.Must(t, err)
		config, err := image.ConfigFile()
		bazeltest.Must(t, err)
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
		config.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
		image, err = mutate.ConfigFile(image, config)
		bazeltest.Must(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: p}})
	}
	for _, as := range names {
		ref, err := name.ParseReference(registry + "/" + as)
		bazeltest.Must(t, err)
		bazeltest.Must(t, remote.WriteIndex(ref, index))
	}
	digest, err := index.Digest()
	bazeltest.Must(t, err)
	return digest.String()
}
