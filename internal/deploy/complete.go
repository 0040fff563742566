package deploy

import (
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Check reports a plan that can't be carried out: a blob that its roots need and that it does not name, or one of an eager
// operation that is neither at hand nor in a base. read returns the content of a manifest or index of the plan. A manifest that
// the plan does not name is left to the base, if there is one: attestations and indexes inside an index are not pulled for a build.
func (p Plan) Check(read func(oci.Descriptor) ([]byte, error)) error {
	known := map[oci.Digest]Blob{}
	for _, b := range p.Blobs {
		known[b.Digest] = b
	}
	for _, op := range p.Operations {
		based := len(p.Bases) > 0
		c := completeness{known: known, based: based, mayLack: based || op.Strategy != "eager", seen: map[oci.Digest]bool{}, read: read}
		if err := c.walk(op.Root); err != nil {
			return fmt.Errorf("%s: %w", op.Name, err)
		}
	}
	return nil
}

type completeness struct {
	known   map[oci.Digest]Blob
	based   bool // there is a base
	mayLack bool // blobs may come from elsewhere than the files
	seen    map[oci.Digest]bool
	read    func(oci.Descriptor) ([]byte, error)
}

func (c completeness) walk(d oci.Descriptor) error {
	if c.seen[d.Digest] {
		return nil
	}
	c.seen[d.Digest] = true
	b, ok := c.known[d.Digest]
	if !ok && c.based && oci.IsManifest(d.MediaType) {
		return nil
	}
	if !ok || b.File == "" && !c.mayLack {
		return fmt.Errorf("blob %s (%s) is not among the files of the image and has no base to be pulled from", d.Digest, d.MediaType)
	}
	if !oci.IsManifest(d.MediaType) {
		return nil
	}
	body, err := c.read(d)
	if err != nil {
		return err
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := c.walk(child); err != nil {
			return err
		}
	}
	return nil
}
