"""Single blobs out of registries."""

load("//img/private/repo:blob.bzl", _pull_blob_archive = "pull_blob_archive", _pull_blob_file = "pull_blob_file", _pull_manifest_blob = "pull_manifest_blob")

pull_blob_archive = _pull_blob_archive
pull_blob_file = _pull_blob_file
pull_manifest_blob = _pull_manifest_blob
