"""Images: for one platform, and for many."""

load("//img/private/rules:index.bzl", _image_index = "image_index")
load("//img/private/rules:manifest.bzl", _image_manifest = "image_manifest")

image_manifest = _image_manifest
image_index = _image_index
