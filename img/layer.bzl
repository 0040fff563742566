"""Layers of images.

See [image_layer](#image_layer) and [file_metadata](#file_metadata).
"""

load("//img/private:file_metadata.bzl", _file_metadata = "file_metadata")
load("//img/private/rules:layer.bzl", _image_layer = "image_layer")

image_layer = _image_layer
file_metadata = _file_metadata
