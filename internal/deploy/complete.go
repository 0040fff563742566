package deploy

import (
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Check reports a plan that can't be carried out: a blob that its roots need and that it does not name, or one that is
// neither at hand nor in a base. read returns the content of a manifest or index of the plan.
func (p Plan) Check(read func(oci.Descriptor) ([]byte, error)) error {
	known := map[oci.Digest]Blob{}
	for _, b := range p.Blobs {
		known[b.Digest] = b
	}
	seen := map[oci.Digest]bool{}
	var walk func(d oci.Descriptor) error
	walk = func(d oci.Descriptor) error {
		if seen[d.Digest] {
			return nil
		}
		seen[d.Digest] = true
		b, ok := known[d.Digest]
		if !ok || (b.File == "" && len(p.Bases) == 0) {
			return fmt.Errorf("%s: blob %s (%s) is not among the files of the image and has no base to be pulled from", p.Name, d.Digest, d.MediaType)
		}
		if !oci.IsManifest(d.MediaType) {
			return nil
		}
		body, err := read(d)
		if err != nil {
			return err
		}
		children, err := oci.Children(d, body)
		if err != nil {
			return err
		}
		for _, c := range children {
			if err := walk(c); err != nil {
				return err
			}
		}
		return nil
	}
	for _, o := range p.Operations {
		if err := walk(o.Root); err != nil {
			return err
		}
	}
	return nil
}
