"""Images out of OCI layouts that other tools made."""

load(
    "//img/private/rules:from_oci_layout.bzl",
    _image_index_from_oci_layout = "image_index_from_oci_layout",
    _image_manifest_from_oci_layout = "image_manifest_from_oci_layout",
)

image_manifest_from_oci_layout = _image_manifest_from_oci_layout
image_index_from_oci_layout = _image_index_from_oci_layout
