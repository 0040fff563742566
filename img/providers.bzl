"""Providers, for rules that make or take images.

They are a stable interface: fields are added, and go away only with a major version. Values are immutable; a `File` is an output or a source file.
Sizes are bytes, digests `sha256:` and 64 hexadecimal digits, and names of platforms those of the OCI image specification.
"""

load(
    "//img/private:providers.bzl",
    _DeployInfo = "DeployInfo",
    _ImageIndexInfo = "ImageIndexInfo",
    _ImageManifestInfo = "ImageManifestInfo",
    _LayerInfo = "LayerInfo",
    _PullInfo = "PullInfo",
)

LayerInfo = _LayerInfo
ImageManifestInfo = _ImageManifestInfo
ImageIndexInfo = _ImageIndexInfo
PullInfo = _PullInfo
DeployInfo = _DeployInfo
