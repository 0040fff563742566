"""image_manifest: layers on a base become an image for one platform."""

load("//img/private:base.bzl", "choose_base", "only_pull")
load("//img/private:compression.bzl", "ARCHIVES", "DIGEST_ATTRS", "MEDIA_TYPE", "archive_compression", "plain_compression")
load("//img/private:label.bzl", "written")
load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo")
load("//img/private:shallow.bzl", "SHALLOW_ATTRS", "shallow_layouts")
load("//img/private:stamping.bzl", "TEMPLATE_ATTRS", "is_template", "template_data")
load("//img/private:target_platform.bzl", "TargetPlatformInfo")
load("//img/private:transitions.bzl", "one_platform")
load("//img/private/actions:layer_from_tar.bzl", "layer_from_tar_action")
load("//img/private/actions:layout.bzl", "layout_groups")
load("//img/private/actions:manifest.bzl", "manifest_action")

visibility("//img")

def _image_manifest_impl(ctx):
    wanted = ctx.attr._target_platform[TargetPlatformInfo]
    base = choose_base(ctx, ctx.attr.base, wanted, ctx.attr.os_version)
    platform = struct(
        os = wanted.os,
        architecture = wanted.architecture,
        # What the base needs, the image needs too, where the platform does not say.
        variant = wanted.variant or (base.variant if base else ""),
    )
    pull = getattr(base, "pull", None) or only_pull(ctx.attr.base)
    archives = {}
    layers = [layer for target in ctx.attr.layers for layer in _layers(ctx, target, archives)]
    tool = ctx.toolchains["//img:toolchain_type"]
    made = manifest_action(
        ctx,
        tool = tool,
        platform = platform,
        base = _base_files(base, pull),
        layers = layers,
        templates = template_data(ctx, bool(ctx.file.annotations_file) or is_template(
            ctx.attr.annotations.values() + ctx.attr.env.values() + ctx.attr.labels.values(),
        )),
        files = {
            "annotations": ctx.file.annotations_file,
            "config_fragment": ctx.file.config_fragment,
            "created": ctx.file.created,
        },
        config = {
            "annotations": ctx.attr.annotations or None,
            "artifact_type": ctx.attr.artifact_type or None,
            "cmd": ctx.attr.cmd or None,
            "config_media_type": ctx.attr.config_media_type or None,
            "entrypoint": ctx.attr.entrypoint or None,
            "env": ctx.attr.env or None,
            "labels": ctx.attr.labels or None,
            "stop_signal": ctx.attr.stop_signal or None,
            "user": ctx.attr.user or None,
            "working_dir": ctx.attr.working_dir or None,
        },
    )
    image = ImageManifestInfo(
        architecture = platform.architecture,
        config = made.config,
        descriptor = made.descriptor,
        layers = (base.layers if base else []) + layers,
        manifest = made.manifest,
        missing_blobs = base.missing_blobs if base else [],
        os = platform.os,
        pull = pull,
        structured_config = {
            "architecture": platform.architecture,
            "os": platform.os,
            "variant": platform.variant,
        } | _os_version(base),
        variant = platform.variant,
    )
    return [
        DefaultInfo(files = depset([made.manifest, made.config])),
        OutputGroupInfo(
            descriptor = depset([made.descriptor]),
            digest = depset([made.digest]),
            **layout_groups(ctx, tool = tool, image = image, shallow = shallow_layouts(ctx))
        ),
        image,
    ] + ([pull] if pull else [])

def _os_version(base):
    """The version of the system that a base is for, as Windows has it."""
    version = base.structured_config.get("os.version") if base else None
    return {"os.version": version} if version else {}

def _layers(ctx, target, made):
    """The layer that a target is, or those that its archives are as they stand; made has those of archives so far."""
    if LayerInfo in target:
        return [target[LayerInfo]]
    files = target[DefaultInfo].files.to_list()
    if not files or [f for f in files if not archive_compression(f)]:
        if ImageManifestInfo in target or ImageIndexInfo in target:
            fail("{}: layers: {} is an image: name it as base to build on it, or name its layers here".format(written(ctx.label), written(target.label)))
        fail("{}: layers: {} is neither a layer nor made of archives ({}): wrap it in image_layer(srcs = {{...}})".format(
            written(ctx.label),
            written(target.label),
            ", ".join(ARCHIVES.keys()),
        ))
    for f in files:
        if f not in made:
            made[f] = _layer_from_tar(ctx, f, len(made))
    return [made[f] for f in files]

def _layer_from_tar(ctx, file, number):
    compress = archive_compression(file)
    made = layer_from_tar_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        name = "{}.layers/{}-{}".format(ctx.label.name, number, file.basename),
        src = file,
        source = compress,
        compression = plain_compression(ctx, compress),
    )
    return LayerInfo(blob = made.blob, metadata = made.metadata, media_type = MEDIA_TYPE[compress], estargz = False)

def _base_files(base, pull):
    if not base:
        return None
    reference = "{}/{}".format(pull.registries[-1], pull.repository) if pull else ""
    if pull and pull.tag:
        reference += ":" + pull.tag
    return struct(
        manifest = base.manifest,
        config = base.config,
        reference = reference,
        digest = pull.digest if pull else "",
    )

image_manifest = rule(
    implementation = _image_manifest_impl,
    doc = """Makes an image for one platform out of layers, on a base or from nothing.

Only metadata is read: neither the base's layers nor the new ones pass through this action. What the base's config and manifest
say is kept, fields that this project does not know included, unless an attribute says otherwise. Config and manifest follow
the OCI image specification.

Output groups: `descriptor` (JSON), `digest` (text `sha256:…`, no newline), `oci_layout` (a directory by the OCI image layout specification),
`oci_tarball` (the same as a tar, which `docker load` takes too). Default outputs: manifest and config.
""",
    attrs = TEMPLATE_ATTRS | SHALLOW_ATTRS | DIGEST_ATTRS | {
        "annotations": attr.string_dict(
            doc = "Annotations of the manifest. Values are templates. A base that was pulled adds `org.opencontainers.image.base.name` and `.digest`; yours win.",
        ),
        "annotations_file": attr.label(
            allow_single_file = True,
            doc = "File of `KEY=VALUE` lines, merged over `annotations`. Values are templates.",
        ),
        "artifact_type": attr.string(
            doc = "The manifest's `artifactType`, for what is no image.",
        ),
        "base": attr.label(
            doc = "Image or index to put the layers on; of an index, the best match for the platform that is built for. No match is an error that names the platforms there are.",
            providers = [[ImageManifestInfo], [ImageIndexInfo]],
        ),
        "cmd": attr.string_list(
            doc = "Default arguments of the entrypoint. Empty: the base's, unless `entrypoint` is set.",
        ),
        "config_fragment": attr.label(
            allow_single_file = True,
            doc = "JSON that is merged over the base's config before the attributes (RFC 7396: objects are merged, null removes). It may not set `rootfs` or `history`, which follow from the layers. With a `config_media_type`, it is the config as it is.",
        ),
        "config_media_type": attr.string(
            doc = "Media type of a config that is not an OCI image config: the config is then the file `config_fragment`, byte for byte. `application/vnd.oci.empty.v1+json` needs no file.",
        ),
        "created": attr.label(
            allow_single_file = True,
            doc = "File with the time of creation, RFC 3339. Without it the base's stays, or none is said.",
        ),
        "entrypoint": attr.string_list(
            doc = "Command to run, a program and its first arguments. It clears the base's `cmd`. Empty: the base's.",
        ),
        "env": attr.string_dict(
            doc = "Environment variables, name → value, merged over the base's, which keep their order. Values are templates: `{{$PATH}}` is the base's `PATH`.",
        ),
        "labels": attr.string_dict(
            doc = "Labels of the config, merged over the base's. Values are templates.",
        ),
        "layers": attr.label_list(
            allow_files = True,
            doc = "Layers on top of the base, lowest first: `image_layer`, `layer_from_tar`, or anything whose default outputs are tar archives, which become layers as they are.",
        ),
        "os_version": attr.string(
            doc = "Version of the system that the base has to be for, or how it begins: `10.0.20348` for Windows Server 2022. Empty: where a base has several for the platform, the first.",
        ),
        "platform": attr.label(
            doc = "Platform to build for, whatever `--platforms` says.",
        ),
        "stop_signal": attr.string(
            doc = "Signal that asks a container to stop, such as `SIGTERM`. Empty: the base's.",
        ),
        "user": attr.string(
            doc = "User and group to run as: `user`, `uid`, `user:group` or `uid:gid`. Empty: the base's.",
        ),
        "working_dir": attr.string(
            doc = "Working directory of the entrypoint, an absolute path. Empty: the base's.",
        ),
        "_target_platform": attr.label(default = "//img/private:target_platform", providers = [TargetPlatformInfo]),
    },
    cfg = one_platform,
    provides = [ImageManifestInfo],
    toolchains = ["//img:toolchain_type"],
)
