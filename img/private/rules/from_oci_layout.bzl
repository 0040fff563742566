"""Images out of OCI layouts that other tools made."""

load("//img/private:compression.bzl", "DIGEST_ATTRS", "further_digest")
load("//img/private:label.bzl", "written")
load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo")
load("//img/private:shallow.bzl", "SHALLOW_ATTRS", "shallow_layouts")
load("//img/private/actions:from_oci_layout.bzl", "from_oci_layout_action")
load("//img/private/actions:layout.bzl", "layout_groups")

visibility("//img")

def _platform(os, architecture, variant):
    return "/".join([p for p in [os, architecture, variant] if p])

def _manifest_info(files, platform, layer_types):
    os, architecture, variant = (platform.split("/") + [""])[:3]
    return ImageManifestInfo(
        architecture = architecture,
        config = files.config,
        descriptor = files.descriptor,
        layers = [
            LayerInfo(blob = layer.blob, metadata = layer.metadata, media_type = media_type, estargz = False)
            for layer, media_type in zip(files.layers, layer_types)
        ],
        manifest = files.manifest,
        missing_blobs = [],
        os = os,
        structured_config = {"architecture": architecture, "os": os, "variant": variant},
        variant = variant,
    )

def _image_manifest_from_oci_layout_impl(ctx):
    platform = _platform(ctx.attr.os, ctx.attr.architecture, ctx.attr.variant)
    tool = ctx.toolchains["//img:toolchain_type"]
    made = from_oci_layout_action(
        ctx,
        tool = tool,
        layout = ctx.file.src,
        platforms = [platform],
        layer_types = ctx.attr.layers,
        further_digest = further_digest(ctx),
        whole = False,
    )
    files = made.images[0]
    image = _manifest_info(files, platform, ctx.attr.layers)
    return [
        DefaultInfo(files = depset([files.manifest, files.config])),
        OutputGroupInfo(
            descriptor = depset([files.descriptor]),
            digest = depset([made.digest]),
            **layout_groups(ctx, tool = tool, image = image, shallow = shallow_layouts(ctx))
        ),
        image,
    ]

def _image_index_from_oci_layout_impl(ctx):
    for platform in ctx.attr.manifests:
        if len(platform.split("/")) not in [2, 3]:
            fail("{}: manifests: {}: want os/architecture or os/architecture/variant, such as linux/arm64".format(written(ctx.label), repr(platform)))
    tool = ctx.toolchains["//img:toolchain_type"]
    made = from_oci_layout_action(
        ctx,
        tool = tool,
        layout = ctx.file.src,
        platforms = ctx.attr.manifests,
        layer_types = ctx.attr.layers,
        further_digest = further_digest(ctx),
        whole = True,
    )
    image = ImageIndexInfo(
        index = made.index,
        manifests = [_manifest_info(files, p, ctx.attr.layers) for files, p in zip(made.images, ctx.attr.manifests)],
    )
    small = [made.index] + [f for files in made.images for f in [files.manifest, files.config]]
    return [
        DefaultInfo(files = depset(small)),
        OutputGroupInfo(
            digest = depset([made.digest]),
            **layout_groups(ctx, tool = tool, image = image, shallow = shallow_layouts(ctx))
        ),
        image,
    ]

_ATTRS = SHALLOW_ATTRS | DIGEST_ATTRS | {
    "layers": attr.string_list(
        doc = "Media types of the layers of each manifest, lowest first, as `//img:media_types.bzl` names them. There must be as many as there are layers; an error says which to write.",
    ),
    "src": attr.label(
        allow_single_file = True,
        doc = "An OCI image layout: a directory, or a tar of one that is not compressed. Indexes inside indexes are looked through, attestations are left out. Bazel sees changes inside a source directory only with `startup --host_jvm_args=-DBAZEL_TRACK_SOURCE_DIRECTORIES=1`.",
        mandatory = True,
    ),
}

image_manifest_from_oci_layout = rule(
    implementation = _image_manifest_from_oci_layout_impl,
    doc = """Takes the image for one platform out of an OCI layout that another tool made, to be a base or to be pushed.

Manifest, config and layers stay byte for byte what they are. Output groups as of `image_manifest`.
""",
    attrs = _ATTRS | {
        "architecture": attr.string(
            doc = "OCI architecture, such as `amd64`.",
            mandatory = True,
        ),
        "os": attr.string(
            default = "linux",
            doc = "OCI operating system.",
        ),
        "variant": attr.string(
            doc = "OCI variant of the architecture.",
        ),
    },
    provides = [ImageManifestInfo],
    toolchains = ["//img:toolchain_type"],
)

image_index_from_oci_layout = rule(
    implementation = _image_index_from_oci_layout_impl,
    doc = """Takes an image for many platforms out of an OCI layout that another tool made.

The layout's own index is kept byte for byte if it names these manifests and no other; otherwise a new one names them. Output groups as of
`image_index`.
""",
    attrs = _ATTRS | {
        "manifests": attr.string_list(
            doc = "Platforms of the manifests, `os/architecture[/variant]`, in order. They must be those that the layout has.",
            mandatory = True,
        ),
    },
    provides = [ImageIndexInfo],
    toolchains = ["//img:toolchain_type"],
)
