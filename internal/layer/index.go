package layer

import "github.com/bazel-contrib/rules_img/internal/oci"

// indexer makes a layer that can be read in parts. It learns where everything lies once all members are written, and then
// adds what it has to add.
type indexer interface {
	// apart says whether each content, which always begins a frame, also ends it, with nothing else in it. Otherwise the padding and
	// the headers that follow share its frame. Frames that are so small are parts of one while they are made.
	apart() bool
	// members returns the rest of the archive: members that are the index, and the two empty blocks at its end. It becomes the
	// last frame; the compressor's tail follows.
	members(*Map) ([]byte, error)
	// footer returns what follows the archive in the blob and is no part of it, such as skippable frames of zstd.
	footer(*Map) ([]byte, error)
	// annotations are for the layer's descriptor, once all is written.
	annotations() map[string]string
}

// Map says where everything in a layer lies.
type Map struct {
	Members []*Member
	Frames  []Placed
}

// Member is an entry as it was written. One that became a hard link has the kind Link and its Target.
type Member struct {
	*Entry
	// Sum is the content's digest; it is empty for one without content.
	Sum    oci.Digest
	Chunks []*Chunk
}

// Chunk is the part of a member's content that lies in one frame, and begins it.
type Chunk struct {
	Offset, Size int64 // in the content
	Frame        int   // in Map.Frames
	Digest       oci.Digest

	at int64 // where it begins in the raw bytes of all parts of the frame
}

// Placed is where a frame lies in the tar stream and in the blob.
type Placed struct {
	Raw, RawSize int64
	Blob, Size   int64
}

// settle gives members whose content is one chunk their sum: that is known once the chunk was compressed.
func (m *Map) settle() {
	for _, member := range m.Members {
		if len(member.Chunks) == 1 {
			member.Sum = member.Chunks[0].Digest
		}
	}
}
