"""layer_from_tar: an archive that exists becomes one layer of an image."""

load("//img/private:compression.bzl", "ARCHIVES", "COMPRESSION_ATTRS", "MEDIA_TYPE", "archive_compression", "compression")
load("//img/private:label.bzl", "written")
load("//img/private:providers.bzl", "LayerInfo")
load("//img/private:settings.bzl", "auto")
load("//img/private/actions:layer_from_tar.bzl", "layer_from_tar_action")

visibility("//img")

def _layer_from_tar_impl(ctx):
    source = archive_compression(ctx.file.src)
    estargz = _estargz(ctx)
    compress = _compress(ctx, source, estargz)
    made = layer_from_tar_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        name = ctx.label.name,
        src = ctx.file.src,
        source = source,
        compression = compression(ctx, compress, estargz),
        optimize = ctx.attr.optimize,
        media_type = ctx.attr.media_type,
        annotations = ctx.attr.annotations,
    )
    return [
        DefaultInfo(files = depset([made.blob])),
        OutputGroupInfo(
            layer = depset([made.blob]),
            metadata = depset([made.metadata]),
            # Whoever builds the target learns whether the archive is sound, even when the file itself is the blob.
            _validation = depset([made.metadata]),
        ),
        LayerInfo(
            blob = made.blob,
            metadata = made.metadata,
            media_type = ctx.attr.media_type or MEDIA_TYPE[compress],
            estargz = estargz,
        ),
    ]

def _estargz(ctx):
    """The setting is for layers of file systems that can be lazy; the attribute is obeyed, or fails."""
    if ctx.attr.estargz == "auto" and (ctx.attr.media_type or ctx.attr.compress == "none"):
        return False
    return auto(ctx.attr.estargz, ctx.attr._estargz) == "enabled"

def _compress(ctx, source, estargz):
    """What the attribute stands for: auto keeps the source's own compression unless the archive is written anew."""
    compress = ctx.attr.compress
    if compress == "auto":
        compress = auto("auto", ctx.attr._compress) if estargz or ctx.attr.optimize else source
    if estargz and compress == "none":
        fail("%s: estargz: an uncompressed layer cannot be mounted lazily: set compress to gzip or zstd, or estargz to disabled" % written(ctx.label))
    return compress

layer_from_tar = rule(
    implementation = _layer_from_tar_impl,
    doc = """Makes one layer of an image out of a tar archive.

When nothing about the archive is to change, the file itself is the blob, and one action only reads and describes it. With
another compression the archive inside stays as it is, and so does its diff ID. With `optimize` or `estargz` it is written
anew: sorted, each path once, equal files stored once, sparse files in full, and without times of access and of change.

A file that is truncated, damaged or no archive fails the build, and the message names the place.

```starlark
layer_from_tar(
    name = "rootfs",
    src = "@debian//:rootfs.tar.zst",
    optimize = True,
)
```
""",
    attrs = {
        "annotations": attr.string_dict(
            doc = "Annotations of the layer's descriptor.",
        ),
        "compress": attr.string(
            default = "auto",
            values = ["auto", "gzip", "none", "zstd"],
            doc = "Compression of the blob. `auto` is that of the source; with `optimize` or `estargz` it is the setting `compress`.",
        ),
        "estargz": attr.string(
            default = "auto",
            values = ["auto", "disabled", "enabled"],
            doc = "Whether the layer can be mounted lazily: eStargz with gzip, zstd:chunked with zstd. `auto` is the setting of that name.",
        ),
        "media_type": attr.string(
            doc = "Media type of the layer's descriptor, for what is no layer of a file system, such as a Helm chart.",
        ),
        "optimize": attr.bool(
            doc = "Whether the archive is written anew: sorted, each path once, equal files stored once.",
        ),
        "src": attr.label(
            allow_single_file = ARCHIVES.keys(),
            mandatory = True,
            doc = "The archive: `.tar`, `.tar.gz`, `.tgz`, `.tar.zst` or `.tzst`. The name has to say how it is compressed.",
        ),
    } | COMPRESSION_ATTRS,
    provides = [LayerInfo],
    toolchains = ["//img:toolchain_type"],
)
