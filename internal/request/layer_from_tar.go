package request

import "io"

// LayerFromTar is the header of a request that makes a layer of an archive that exists.
type LayerFromTar struct {
	Header
	// Name is the label of the layer's target, for messages and the metadata file.
	Name string `json:"name"`
	// Source is the compression that the archive's name promises: "gzip", "zstd" or "none".
	Source string `json:"source"`
	// Compress, Level and Jobs are as in [Layer].
	Compress string `json:"compress"`
	Level    string `json:"level"`
	Jobs     string `json:"jobs"`
	// Estargz makes a layer that can be mounted lazily.
	Estargz bool `json:"estargz"`
	// FurtherDigest is as in [Layer].
	FurtherDigest string `json:"further_digest,omitempty"`
	// Optimize writes the archive anew: in order, each content once, nothing twice.
	Optimize bool `json:"optimize"`
	// MediaType replaces that of layers.
	MediaType string `json:"media_type,omitempty"`
	// Annotations are for the layer's descriptor.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// The types of the records of a request for a layer from an archive, each with a file in From.
const (
	// TarSource is the archive.
	TarSource = "source"
	// TarBlob and TarMetadata name the files to write. Without a blob, the source is the blob.
	TarBlob     = "blob"
	TarMetadata = "metadata"
)

// ReadLayerFromTar decodes such a request.
func ReadLayerFromTar(r io.Reader, each func(FileRecord) error) (LayerFromTar, error) {
	var h LayerFromTar
	err := Read(r, Header{Kind: "layer-from-tar", Version: 1}, &h, each)
	return h, err
}
