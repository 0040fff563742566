package request

import "io"

// Layer is the header of a request for one layer.
type Layer struct {
	Header
	// Name is the label of the layer's target, for messages and the metadata file.
	Name string `json:"name"`
	// Compress is "gzip", "zstd" or "none".
	Compress string `json:"compress"`
	// Level is "fastest", "default", "best" or a number: -1 to 9 for gzip, 1 to 4 for zstd.
	Level string `json:"level"`
	// Jobs is how many compressors run: "auto", "nproc" or a number. It never changes the output.
	Jobs string `json:"jobs"`
	// Estargz makes a layer that can be mounted lazily.
	Estargz bool `json:"estargz"`
	// FurtherDigest is "blake3" when the metadata has that digest too, and else empty.
	FurtherDigest string `json:"further_digest,omitempty"`
	// CreateParents adds an entry for every parent directory that has none.
	CreateParents bool `json:"create_parents"`
	// TreeArtifacts is "full" or "deduplicate_symlink".
	TreeArtifacts string `json:"tree_artifacts"`
	// Annotations are for the layer's descriptor.
	Annotations map[string]string `json:"annotations,omitempty"`
	// DefaultMetadata applies to every entry.
	DefaultMetadata *Metadata `json:"default_metadata,omitempty"`
	// FileMetadata overrides it by path in the image, field by field.
	FileMetadata map[string]Metadata `json:"file_metadata,omitempty"`
}

// Metadata is what the rules' file_metadata() makes. A nil field is not set.
type Metadata struct {
	Mode       *string           `json:"mode,omitempty"`
	UID        *int              `json:"uid,omitempty"`
	GID        *int              `json:"gid,omitempty"`
	Uname      *string           `json:"uname,omitempty"`
	Gname      *string           `json:"gname,omitempty"`
	Mtime      *string           `json:"mtime,omitempty"`
	PAXRecords map[string]string `json:"pax_records,omitempty"`
}

// The types of a [LayerRecord].
const (
	// LayerBlob and LayerMetadata name the files to write, in From.
	LayerBlob     = "blob"
	LayerMetadata = "metadata"
	// LayerFile puts the file From at Path. When From is a directory (a tree artifact or a source directory), its
	// contents go below Path.
	LayerFile = "file"
	// LayerEmpty puts an empty file at Path.
	LayerEmpty = "empty"
	// LayerSymlink puts a link with the text Target at Path.
	LayerSymlink = "symlink"
	// LayerAnnotations names a file of KEY=VALUE lines, in From.
	LayerAnnotations = "annotations"
)

// LayerRecord is one line of a layer request after its header.
type LayerRecord struct {
	Type string `json:"type"`
	// Under and Path, joined, are the path in the image. Under is there because the rules can give a whole depset
	// one prefix without computing it for each file.
	Under string `json:"under,omitempty"`
	Path  string `json:"path,omitempty"`
	// Into puts a file into the directory Path, under its own name.
	Into   bool   `json:"into,omitempty"`
	From   string `json:"from,omitempty"`
	Target string `json:"target,omitempty"`
}

// ReadLayer decodes a layer request.
func ReadLayer(r io.Reader, each func(LayerRecord) error) (Layer, error) {
	var h Layer
	err := Read(r, Header{Kind: "layer", Version: 1}, &h, each)
	return h, err
}
