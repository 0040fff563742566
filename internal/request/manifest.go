package request

import "io"

// Manifest is the header of a request for the manifest of one platform.
type Manifest struct {
	Header
	Templates
	// Name is the label of the target, for messages.
	Name         string `json:"name"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	// BaseName and BaseDigest say where the base was pulled from; both may be empty.
	BaseName   string `json:"base_name,omitempty"`
	BaseDigest string `json:"base_digest,omitempty"`

	// ArtifactType and ConfigMediaType are of the manifest and of a config that is not an image's; both may be empty.
	ArtifactType    string `json:"artifact_type,omitempty"`
	ConfigMediaType string `json:"config_media_type,omitempty"`

	// The values of annotations, env and labels may be templates.
	Annotations map[string]string `json:"annotations,omitempty"`
	Cmd         []string          `json:"cmd,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	User        string            `json:"user,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
}

// The types of the records of a manifest request.
const (
	// ManifestLayer is the metadata file of one layer, lowest first.
	ManifestLayer = "layer"
	// ManifestBase and ManifestBaseConfig are the blobs of the base.
	ManifestBase       = "base_manifest"
	ManifestBaseConfig = "base_config"
	// ManifestAnnotations is a file of KEY=VALUE lines, whose values may be templates.
	ManifestAnnotations = "annotations"
	// ManifestFragment is JSON to merge over the base's config, or a config that is not an image's.
	ManifestFragment = "config_fragment"
	// ManifestCreated is a file with the time of creation.
	ManifestCreated = "created"
	// The files to write: two blobs, the manifest's descriptor, and its digest as text.
	ManifestManifest   = "manifest"
	ManifestConfig     = "config"
	ManifestDescriptor = "descriptor"
	ManifestDigest     = "digest"
)

// FileRecord is a line that names one file.
type FileRecord struct {
	Type string `json:"type"`
	From string `json:"from"`
}

// ReadManifest decodes a manifest request.
func ReadManifest(r io.Reader, each func(FileRecord) error) (Manifest, error) {
	var h Manifest
	err := Read(r, Header{Kind: "manifest", Version: 1}, &h, each)
	return h, err
}
