"""Compressions of layers: their names, media types, files and levels."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//img/private:settings.bzl", "setting")

visibility("//img/private/...")

MEDIA_TYPE = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "none": "application/vnd.oci.image.layer.v1.tar",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}

EXTENSION = {
    "gzip": ".tgz",
    "none": ".tar",
    "zstd": ".tar.zst",
}

# What `auto` means for each compilation mode: quick while one edits, small for a release.
_LEVEL = {
    "gzip": {"dbg": "default", "fastbuild": "1", "opt": "9"},
    "none": {"dbg": "default", "fastbuild": "default", "opt": "default"},
    "zstd": {"dbg": "default", "fastbuild": "1", "opt": "4"},
}

# The attribute of a rule whose blobs Bazel's caches keep.
DIGEST_ATTRS = {"_digest_function": setting("digest_function")}

# Attributes of a rule that compresses.
COMPRESSION_ATTRS = DIGEST_ATTRS | {
    "_compress": setting("compress"),
    "_estargz": setting("estargz"),
    "_jobs": setting("compression_jobs"),
    "_level": setting("compression_level"),
}

def compression(ctx, compress, estargz):
    """How a layer is made a blob, for its action.

    Args:
      ctx: context of a rule with COMPRESSION_ATTRS.
      compress: (str) gzip, zstd or none.
      estargz: (bool) whether the layer can be mounted lazily.

    Returns:
      dict, by the names of internal/request/layer.go.
    """
    return dict(
        plain_compression(ctx, compress),
        estargz = estargz,
        jobs = ctx.attr._jobs[BuildSettingInfo].value,
        level = _level(ctx, compress),
    )

def plain_compression(ctx, compress):
    """What compression() returns, for an archive that is a blob as it stands.

    Args:
      ctx: context of a rule with DIGEST_ATTRS.
      compress: (str) gzip, zstd or none: that of the archive.

    Returns:
      dict, by the names of internal/request/layer.go.
    """
    return {
        "compress": compress,
        "estargz": False,
        "further_digest": further_digest(ctx),
        "jobs": "auto",
        "level": "default",
    }

def _level(ctx, compress):
    level = ctx.attr._level[BuildSettingInfo].value
    return _LEVEL[compress][ctx.var["COMPILATION_MODE"]] if level == "auto" else level

def further_digest(ctx):
    """The digest, beside SHA-256, that names a layer in Bazel's caches.

    Args:
      ctx: context of a rule with DIGEST_ATTRS.

    Returns:
      (str|None) blake3, or None when there is no other.
    """
    function = ctx.attr._digest_function[BuildSettingInfo].value
    return function if function != "sha256" else None

# Archives by the end of their names, and how they are compressed.
ARCHIVES = {
    ".tar": "none",
    ".tar.gz": "gzip",
    ".tar.zst": "zstd",
    ".tgz": "gzip",
    ".tzst": "zstd",
}

def archive_compression(file):
    """How an archive is compressed.

    Args:
      file: (File).

    Returns:
      (str|None) gzip, zstd or none; None when the name is not that of an archive.
    """
    for end, compression in ARCHIVES.items():
        if file.basename.endswith(end):
            return compression
    return None
