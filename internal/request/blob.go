package request

import "io"

// Blob is the header of a request to pull one blob.
type Blob struct {
	Header
	// Name is the label of the target, for messages.
	Name string `json:"name"`
	// Registries are hosts, in the order to ask them; an empty one is Docker Hub.
	Registries []string `json:"registries"`
	Repository string   `json:"repository"`
	Digest     string   `json:"digest"`
	Size       int64    `json:"size"`
}

// BlobBlob is the type of the record that has the file to write.
const BlobBlob = "blob"

// ReadBlob decodes a blob request.
func ReadBlob(r io.Reader, each func(FileRecord) error) (Blob, error) {
	var h Blob
	err := Read(r, Header{Kind: "blob", Version: 1}, &h, each)
	return h, err
}
