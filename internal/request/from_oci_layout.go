package request

import "io"

// FromOCILayout is the header of a request that takes an image out of an OCI layout that another tool made.
type FromOCILayout struct {
	Header
	// Name is the label of the target, for messages.
	Name string `json:"name"`
	// Platforms are os/architecture[/variant] of the manifests wanted, in order.
	Platforms []string `json:"platforms"`
	// LayerTypes are the media types of the layers of each manifest.
	LayerTypes []string `json:"layer_types,omitempty"`
	// FurtherDigest is as in [Layer].
	FurtherDigest string `json:"further_digest,omitempty"`
	// Whole says that Platforms must be all that the layout has, since an index is made of it.
	Whole bool `json:"whole,omitempty"`
}

// The types of a [FromOCILayoutRecord].
const (
	// FromLayout is the layout: a directory or a tar.
	FromLayout = "layout"
	// What to write of the manifest with the number Manifest.
	FromManifest   = "manifest"
	FromConfig     = "config"
	FromDescriptor = "descriptor"
	// What to write of its layer with the number Layer.
	FromLayerBlob     = "layer"
	FromLayerMetadata = "metadata"
	// FromIndex and FromDigest are the index, and the digest of the whole as text.
	FromIndex  = "index"
	FromDigest = "digest"
)

// FromOCILayoutRecord is one line of such a request after its header.
type FromOCILayoutRecord struct {
	Type     string `json:"type"`
	From     string `json:"from"`
	Manifest int    `json:"manifest,omitempty"`
	Layer    int    `json:"layer,omitempty"`
}

// ReadFromOCILayout decodes such a request.
func ReadFromOCILayout(r io.Reader, each func(FromOCILayoutRecord) error) (FromOCILayout, error) {
	var h FromOCILayout
	err := Read(r, Header{Kind: "from-oci-layout", Version: 1}, &h, each)
	return h, err
}
