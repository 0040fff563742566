package deploy

import (
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Check says what is wrong with where op goes. What templates made is known only when a plan is made, which is early enough.
func (op Operation) Check() error {
	switch op.Kind {
	case KindPush:
		return op.checkPush()
	case KindLoad:
		return op.checkLoad()
	}
	return fmt.Errorf("%q is not an operation: want %s or %s", op.Kind, KindPush, KindLoad)
}

func (op Operation) checkPush() error {
	if _, err := oci.NewReference(op.Registry, op.Repository); err != nil {
		return err
	}
	for _, tag := range op.Tags {
		if err := oci.CheckTag(tag); err != nil {
			return err
		}
	}
	return nil
}

func (op Operation) checkLoad() error {
	for _, name := range op.Tags {
		ref, err := oci.ParseReference(name)
		if err != nil {
			return err
		}
		if ref.Digest != "" {
			return fmt.Errorf("name %q: has a digest: a loaded image is named by repository and tag", name)
		}
	}
	return nil
}
