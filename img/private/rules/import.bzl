"""Images that were not built here, as a repository rule laid them out."""

load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo", "PullInfo")

# Loaded by the BUILD files that repository rules write.
visibility("public")

def _imported_manifest_impl(ctx):
    layers = [
        LayerInfo(blob = None, metadata = metadata, media_type = media_type, estargz = False)
        for metadata, media_type in zip(ctx.files.layers, ctx.attr.layer_media_types)
    ]
    return [
        DefaultInfo(files = depset([ctx.file.manifest, ctx.file.config])),
        ImageManifestInfo(
            architecture = ctx.attr.architecture,
            config = ctx.file.config,
            descriptor = ctx.file.descriptor,
            layers = layers,
            manifest = ctx.file.manifest,
            missing_blobs = ctx.attr.layer_digests,
            os = ctx.attr.os,
            structured_config = {"architecture": ctx.attr.architecture, "os": ctx.attr.os, "variant": ctx.attr.variant},
            variant = ctx.attr.variant,
        ),
    ]

imported_manifest = rule(
    implementation = _imported_manifest_impl,
    doc = "One platform's image, by its metadata.",
    attrs = {
        "architecture": attr.string(mandatory = True),
        "config": attr.label(allow_single_file = True, mandatory = True),
        "descriptor": attr.label(allow_single_file = True, mandatory = True),
        "layer_digests": attr.string_list(doc = "Hexadecimal digests of the layers."),
        "layer_media_types": attr.string_list(),
        "layers": attr.label_list(allow_files = True, doc = "Metadata files, lowest first."),
        "manifest": attr.label(allow_single_file = True, mandatory = True),
        "os": attr.string(mandatory = True),
        "variant": attr.string(),
    },
)

def _imported_index_impl(ctx):
    manifests = [t[ImageManifestInfo] for t in ctx.attr.manifests]
    if ctx.file.index:
        image = ImageIndexInfo(index = ctx.file.index, manifests = manifests)
    else:
        image = manifests[0]
    return [
        DefaultInfo(files = depset([ctx.file.index] if ctx.file.index else [], transitive = [t[DefaultInfo].files for t in ctx.attr.manifests])),
        PullInfo(
            registries = ctx.attr.registries,
            repository = ctx.attr.repository,
            tag = ctx.attr.tag or None,
            digest = ctx.attr.digest,
        ),
        image,
    ]

imported_index = rule(
    implementation = _imported_index_impl,
    doc = "What was pulled: an index, or the one manifest that the reference named.",
    attrs = {
        "digest": attr.string(mandatory = True),
        "index": attr.label(allow_single_file = True),
        "manifests": attr.label_list(mandatory = True, providers = [ImageManifestInfo]),
        "registries": attr.string_list(mandatory = True),
        "repository": attr.string(mandatory = True),
        "tag": attr.string(),
    },
)
