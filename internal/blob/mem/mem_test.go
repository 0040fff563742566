package mem_test

import (
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
)

func TestStore(t *testing.T) {
	blobtest.Test(t, func(*testing.T) blobtest.Store { return &mem.Store{} })
}
