package oci

import v1 "github.com/opencontainers/image-spec/specs-go/v1"

// Media types of the OCI image specification and, where Docker's own still appear in registries, of
// "Image Manifest Version 2, Schema 2".
const (
	MediaTypeIndex     = v1.MediaTypeImageIndex
	MediaTypeManifest  = v1.MediaTypeImageManifest
	MediaTypeConfig    = v1.MediaTypeImageConfig
	MediaTypeLayer     = v1.MediaTypeImageLayer
	MediaTypeLayerGzip = v1.MediaTypeImageLayerGzip
	MediaTypeLayerZstd = v1.MediaTypeImageLayerZstd
	// MediaTypeEmpty is the type of {}, the config of artifacts that have none.
	MediaTypeEmpty = v1.MediaTypeEmptyJSON

	// The types of layers that a registry need not hold. OCI deprecated them; old Windows bases have them.
	MediaTypeForeignLayer     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	MediaTypeForeignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"

	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerConfig       = "application/vnd.docker.container.image.v1+json"
	MediaTypeDockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	MediaTypeDockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	MediaTypeDockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"

	MediaTypeDockerForeignLayer     = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	MediaTypeDockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

var toOCI = map[string]string{
	MediaTypeDockerManifestList: MediaTypeIndex,
	MediaTypeDockerManifest:     MediaTypeManifest,
	MediaTypeDockerConfig:       MediaTypeConfig,
	MediaTypeDockerLayer:        MediaTypeLayer,
	MediaTypeDockerLayerGzip:    MediaTypeLayerGzip,
	MediaTypeDockerLayerZstd:    MediaTypeLayerZstd,

	MediaTypeDockerForeignLayer:     MediaTypeForeignLayer,
	MediaTypeDockerForeignLayerGzip: MediaTypeForeignLayerGzip,
}

// IsManifest reports whether blobs of this type refer to others: manifests and indexes, Docker's included.
func IsManifest(mediaType string) bool { return IsIndex(mediaType) || IsImageManifest(mediaType) }

// IsIndex reports whether mediaType is that of an index or of Docker's manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == MediaTypeIndex || mediaType == MediaTypeDockerManifestList
}

// IsImageManifest reports whether mediaType is that of a manifest for one platform.
func IsImageManifest(mediaType string) bool {
	return mediaType == MediaTypeManifest || mediaType == MediaTypeDockerManifest
}

// ToOCI returns the OCI media type that means the same as Docker's; any other type is returned as it is.
func ToOCI(mediaType string) string {
	if t, ok := toOCI[mediaType]; ok {
		return t
	}
	return mediaType
}
