"""pull_blob_file, pull_blob_archive, pull_manifest_blob: single blobs of a registry as repositories."""

load("//img/private/repo:fetch.bzl", "blob_path", "check_digest", "fetch_blobs", "fetch_manifests", "finish", "origin")
load("//img/private/repo:pull.bzl", "DOWNLOADER", "PLACE_ATTRS", "TOOL", "asker", "own_name", "registries")

visibility("//img")

def _fetch(rctx, fetch, wanted):
    """Fetches the blob of the attribute digest and returns where it is."""
    check_digest(asker(rctx), "digest", rctx.attr.digest)
    from_ = origin(
        rctx,
        name = asker(rctx),
        registries = registries(rctx.attr),
        repository = rctx.attr.repository,
        downloader = rctx.attr.downloader,
        tool = rctx.attr._tool,
    )
    fetch(from_, [wanted])
    finish(from_)
    return blob_path(rctx.attr.digest)

def _reproducible(rctx):
    return rctx.repo_metadata(reproducible = True) if hasattr(rctx, "repo_metadata") else None

def _file(rctx, blob):
    """Gives the blob its name, and the repository the targets //file, as http_file does, and one of its own name."""
    rctx.symlink(blob, "file/" + rctx.attr.downloaded_file_path)
    rctx.file("file/BUILD.bazel", _FILE.format(file = repr(rctx.attr.downloaded_file_path)))
    rctx.file("BUILD.bazel", _ALIAS.format(name = repr(own_name(rctx))))
    return _reproducible(rctx)

_FILE = """filegroup(
    name = "file",
    srcs = [{file}],
    visibility = ["//visibility:public"],
)
"""

_ALIAS = """alias(
    name = {name},
    actual = "//file",
    visibility = ["//visibility:public"],
)
"""

def _pull_blob_file_impl(rctx):
    return _file(rctx, _fetch(rctx, fetch_blobs, {"digest": rctx.attr.digest}))

def _pull_manifest_blob_impl(rctx):
    return _file(rctx, _fetch(rctx, fetch_manifests, rctx.attr.digest))

def _pull_blob_archive_impl(rctx):
    if bool(rctx.attr.build_file) == bool(rctx.attr.build_file_content):
        fail("{}: want one of build_file and build_file_content".format(asker(rctx)))
    blob = _fetch(rctx, fetch_blobs, {"digest": rctx.attr.digest})
    archive = "archive." + rctx.attr.type
    rctx.symlink(blob, archive)
    rctx.extract(archive, stripPrefix = rctx.attr.strip_prefix)
    rctx.delete(archive)
    rctx.delete("blobs")
    if rctx.attr.build_file:
        rctx.file("BUILD.bazel", rctx.read(rctx.attr.build_file))
    else:
        rctx.file("BUILD.bazel", rctx.attr.build_file_content)
    return _reproducible(rctx)

_BLOB_ATTRS = PLACE_ATTRS | {
    "digest": attr.string(
        doc = "Digest of the blob, `sha256:…`.",
        mandatory = True,
    ),
    "downloader": DOWNLOADER,
    "_tool": TOOL,
}

pull_blob_file = repository_rule(
    implementation = _pull_blob_file_impl,
    doc = """A blob of a registry as a file: a layer, or part of an artifact.

```starlark
pull_blob_file(
    name = "model",
    digest = "sha256:…",
    downloaded_file_path = "model.safetensors",
    registry = "ghcr.io",
    repository = "team/model",
)
```

Then `@model//file`, or `@model`.
""",
    attrs = _BLOB_ATTRS | {
        "downloaded_file_path": attr.string(
            default = "blob",
            doc = "What the file is called.",
        ),
    },
)

pull_manifest_blob = repository_rule(
    implementation = _pull_manifest_blob_impl,
    doc = "A manifest or index of a registry as a file, `@NAME//file` or `@NAME`: an artifact's, for example, which `pull` does not take.",
    attrs = _BLOB_ATTRS | {
        "downloaded_file_path": attr.string(
            default = "manifest.json",
            doc = "What the file is called.",
        ),
    },
)

pull_blob_archive = repository_rule(
    implementation = _pull_blob_archive_impl,
    doc = "A blob of a registry that is an archive, such as a layer, unpacked, with a BUILD file of yours.",
    attrs = _BLOB_ATTRS | {
        "build_file": attr.label(
            allow_single_file = True,
            doc = "The BUILD file of the repository.",
        ),
        "build_file_content": attr.string(
            doc = "The text of the BUILD file, instead of `build_file`.",
        ),
        "strip_prefix": attr.string(
            doc = "Directory of the archive that becomes the top of the repository.",
        ),
        "type": attr.string(
            default = "tar.gz",
            doc = "What the archive is, as the extension of a file name: `tar`, `tar.gz`, `tar.zst`, `zip` and what else Bazel unpacks.",
        ),
    },
)
