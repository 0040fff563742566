package request

import "io"

// Layout is the header of a request for an image as files.
type Layout struct {
	Header
	Templates
	// Name is the label of the target, for messages.
	Name string `json:"name"`
	// Format is "directory" or "archive".
	Format string `json:"format"`
	// Names are what loaders call the image; they may be templates.
	Names []string `json:"names,omitempty"`
	// Shallow leaves out layers that are not among the files, instead of failing for them.
	Shallow bool `json:"shallow,omitempty"`
}

// The types of a [LayoutRecord].
const (
	// LayoutBlob is a manifest, an index or a config.
	LayoutBlob = "blob"
	// LayoutLayer is the metadata file of a layer, and its blob if that is there.
	LayoutLayer = "layer"
	// LayoutOut is what to write: a directory or a file.
	LayoutOut = "out"
)

// LayoutRecord is one line of a layout request after its header.
type LayoutRecord struct {
	Type string `json:"type"`
	From string `json:"from"`
	Blob string `json:"blob,omitempty"`
}

// ReadLayout decodes a layout request.
func ReadLayout(r io.Reader, each func(LayoutRecord) error) (Layout, error) {
	var h Layout
	err := Read(r, Header{Kind: "layout", Version: 1}, &h, each)
	return h, err
}
