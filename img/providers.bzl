"""Providers, for rules that make or take images. Fields are documented where they are defined."""

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
