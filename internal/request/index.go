package request

import "io"

// Index is the header of a request for an index.
type Index struct {
	Header
	Templates
	// Name is the label of the target, for messages.
	Name string `json:"name"`
	// Annotations' values may be templates.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// The types of the records of an index request.
const (
	// IndexManifest is the descriptor file of one manifest, in order.
	IndexManifest = "descriptor"
	// IndexAnnotations is a file of KEY=VALUE lines, whose values may be templates.
	IndexAnnotations = "annotations"
	// IndexBase and IndexBaseConfig are the blobs of the first manifest, there when a template may want them.
	IndexBase       = "base_manifest"
	IndexBaseConfig = "base_config"
	// The files to write: the blob, and its digest as text.
	IndexIndex  = "index"
	IndexDigest = "digest"
)

// ReadIndex decodes an index request.
func ReadIndex(r io.Reader, each func(FileRecord) error) (Index, error) {
	var h Index
	err := Read(r, Header{Kind: "index", Version: 1}, &h, each)
	return h, err
}
