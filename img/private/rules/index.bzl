"""image_index: one image for many platforms."""

load("//img/private:base.bzl", "only_pull")
load("//img/private:label.bzl", "written")
load("//img/private:platforms.bzl", "format_platform")
load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo")
load("//img/private:shallow.bzl", "SHALLOW_ATTRS", "shallow_layouts")
load("//img/private:stamping.bzl", "TEMPLATE_ATTRS", "is_template", "template_data")
load("//img/private:transitions.bzl", "each_platform")
load("//img/private/actions:index.bzl", "index_action")
load("//img/private/actions:layout.bzl", "layout_groups")

visibility("//img")

def _image_index_impl(ctx):
    if not ctx.attr.manifests:
        fail("{}: manifests: is empty: name the images of the index".format(written(ctx.label)))
    targets = _in_order(ctx)
    manifests = [t[ImageManifestInfo] for t in targets]
    _no_platform_twice(ctx, manifests)
    tool = ctx.toolchains["//img:toolchain_type"]
    made = index_action(
        ctx,
        tool = tool,
        manifests = manifests,
        annotations = ctx.attr.annotations,
        annotations_file = ctx.file.annotations_file,
        templates = template_data(ctx, True) if ctx.file.annotations_file or is_template(ctx.attr.annotations.values()) else None,
    )
    image = ImageIndexInfo(index = made.index, manifests = manifests)
    pulls = [p for p in [only_pull(t) for t in targets] if p]
    return [
        DefaultInfo(files = depset([made.index], transitive = [t[DefaultInfo].files for t in targets])),
        OutputGroupInfo(
            digest = depset([made.digest]),
            **layout_groups(ctx, tool = tool, image = image, shallow = shallow_layouts(ctx))
        ),
        image,
    ] + pulls[:1]

def _in_order(ctx):
    """The manifests, for each platform in the order that the BUILD file gives."""
    split = ctx.split_attr.manifests
    return [t for k in sorted(split, key = lambda k: int(k or 0)) for t in split[k]]

def _no_platform_twice(ctx, manifests):
    seen = {}
    for m in manifests:
        version = m.structured_config.get("os.version")
        name = format_platform(m) + (" " + version if version else "")
        if name in seen:
            fail("{}: manifests: two are for {}: an index has one for each platform".format(written(ctx.label), name))
        seen[name] = True

image_index = rule(
    implementation = _image_index_impl,
    doc = """Makes an index: one reference for the images of many platforms.

Give `manifests` one target for each platform, or one target and `platforms`, for each of which it is built. The index follows the OCI
image specification.

Output groups: `digest` (text `sha256:…`, no newline), `oci_layout` (a directory by the OCI image layout specification), `oci_tarball` (the
same as a tar, of which `docker load` takes one platform). Default outputs: the index, manifests and configs.
""",
    attrs = TEMPLATE_ATTRS | SHALLOW_ATTRS | {
        "annotations": attr.string_dict(
            doc = "Annotations of the index. Values are templates, for which `.base` is the first manifest.",
        ),
        "annotations_file": attr.label(
            allow_single_file = True,
            doc = "File of `KEY=VALUE` lines, merged over `annotations`. Values are templates.",
        ),
        "manifests": attr.label_list(
            cfg = each_platform,
            doc = "Images of the index, in order; one for each platform, or version of Windows.",
            mandatory = True,
            providers = [ImageManifestInfo],
        ),
        "platforms": attr.label_list(
            doc = "Platforms to build each of `manifests` for, in order. Empty: as the build is configured.",
            providers = [platform_common.PlatformInfo],
        ),
    },
    provides = [ImageIndexInfo],
    toolchains = ["//img:toolchain_type"],
)
