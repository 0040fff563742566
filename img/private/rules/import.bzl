"""Images that were not built here, as a repository rule laid them out."""

load("//img/private:label.bzl", "written")
load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo", "PullInfo")

# Loaded by the BUILD files that repository rules write.
visibility("public")

def _imported_manifest_impl(ctx):
    blobs = {digest: _one_file(ctx, target) for target, digest in ctx.attr.blobs.items()}
    layers = [
        LayerInfo(blob = blobs.get(digest), metadata = metadata, media_type = media_type, estargz = False)
        for digest, metadata, media_type in zip(ctx.attr.layer_digests, ctx.files.layers, ctx.attr.layer_media_types)
    ]
    config = {"architecture": ctx.attr.architecture, "os": ctx.attr.os, "variant": ctx.attr.variant}
    return [
        DefaultInfo(files = depset([ctx.file.manifest, ctx.file.config])),
        OutputGroupInfo(descriptor = depset([ctx.file.descriptor]), layers = depset(blobs.values())),
        ImageManifestInfo(
            architecture = ctx.attr.architecture,
            config = ctx.file.config,
            descriptor = ctx.file.descriptor,
            layers = layers,
            manifest = ctx.file.manifest,
            missing_blobs = [d for d in ctx.attr.layer_digests if d not in blobs],
            os = ctx.attr.os,
            structured_config = config | json.decode(ctx.attr.platform),
            variant = ctx.attr.variant,
        ),
    ]

def _one_file(ctx, target):
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        fail("{}: blobs: {} has {} files: want the one blob".format(written(ctx.label), written(target.label), len(files)))
    return files[0]

imported_manifest = rule(
    implementation = _imported_manifest_impl,
    doc = "One platform's image, by its metadata.",
    attrs = {
        "architecture": attr.string(mandatory = True),
        "blobs": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "The layers whose bytes can be had → their hexadecimal digests. The others are known by their descriptors alone.",
        ),
        "config": attr.label(allow_single_file = True, mandatory = True),
        "descriptor": attr.label(allow_single_file = True, mandatory = True),
        "layer_digests": attr.string_list(doc = "Hexadecimal digests of the layers, lowest first."),
        "layer_media_types": attr.string_list(),
        "layers": attr.label_list(allow_files = True, doc = "Metadata files, lowest first."),
        "manifest": attr.label(allow_single_file = True, mandatory = True),
        "os": attr.string(mandatory = True),
        "platform": attr.string(default = "{}", doc = "JSON: the OCI platform, with the fields that have no attribute."),
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
        OutputGroupInfo(layers = depset(transitive = [t[OutputGroupInfo].layers for t in ctx.attr.manifests])),
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

def _package_metadata_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(out, json.encode({"purl": ctx.attr.purl}) + "\n")
    return [DefaultInfo(files = depset([out]))]

package_metadata = rule(
    implementation = _package_metadata_impl,
    doc = "What a package of images is called outside: its default output is a JSON object with the package URL, `purl`.",
    attrs = {"purl": attr.string(doc = "Package URL.", mandatory = True)},
)
