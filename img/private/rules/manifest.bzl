"""image_manifest: layers on a base become an image for one platform."""

load("//img/private:base.bzl", "choose_base", "only_pull")
load("//img/private:literal.bzl", "literals", "not_yet")
load("//img/private:providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo", "PullInfo")
load("//img/private:target_platform.bzl", "TargetPlatformInfo")
load("//img/private:transitions.bzl", "one_platform")
load("//img/private/actions:manifest.bzl", "manifest_action")

visibility("//img")

def _image_manifest_impl(ctx):
    not_yet(ctx, ["annotations_file", "config_fragment", "config_media_type", "artifact_type", "created", "build_settings"])
    platform = ctx.attr._target_platform[TargetPlatformInfo]
    base = choose_base(ctx, ctx.attr.base, platform)
    pull = only_pull(ctx.attr.base)
    layers = [_layer(ctx, target) for target in ctx.attr.layers]
    made = manifest_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        platform = platform,
        base = _base_files(base, pull),
        layers = layers,
        config = {
            "annotations": literals(ctx, "annotations", ctx.attr.annotations) or None,
            "cmd": ctx.attr.cmd or None,
            "entrypoint": ctx.attr.entrypoint or None,
            "env": literals(ctx, "env", ctx.attr.env) or None,
            "labels": literals(ctx, "labels", ctx.attr.labels) or None,
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
        structured_config = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant},
        variant = platform.variant,
    )
    return [
        DefaultInfo(files = depset([made.manifest, made.config])),
        OutputGroupInfo(descriptor = depset([made.descriptor]), digest = depset([made.digest])),
        image,
    ] + ([pull] if pull else [])

def _layer(ctx, target):
    if LayerInfo in target:
        return target[LayerInfo]
    fail("{}: layers: {} is no layer: wrap it in image_layer(srcs = {{...}})".format(ctx.label, target.label))

def _base_files(base, pull):
    if not base:
        return None
    reference = "{}/{}".format(pull.registries[0], pull.repository) if pull else ""
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

Output groups: `descriptor` (JSON), `digest` (text `sha256:…`, no newline). Default outputs: manifest and config.
""",
    attrs = {
        "annotations": attr.string_dict(
            doc = "Annotations of the manifest. A base that was pulled adds `org.opencontainers.image.base.name` and `.digest`; yours win.",
        ),
        "annotations_file": attr.label(
            allow_single_file = True,
            doc = "File of `KEY=VALUE` lines, merged over `annotations`.",
        ),
        "artifact_type": attr.string(
            doc = "The manifest's `artifactType`.",
        ),
        "base": attr.label(
            doc = "Image or index to put the layers on; of an index, the best match for the platform that is built for. No match is an error that names the platforms there are.",
            providers = [[ImageManifestInfo], [ImageIndexInfo]],
        ),
        "build_settings": attr.string_keyed_label_dict(
            doc = "Name → build setting whose value templates can use.",
        ),
        "cmd": attr.string_list(
            doc = "Default arguments of the entrypoint.",
        ),
        "config_fragment": attr.label(
            allow_single_file = True,
            doc = "JSON merged over the base's config, before the attributes.",
        ),
        "config_media_type": attr.string(
            doc = "Media type of a config that is not an OCI image config.",
        ),
        "created": attr.label(
            allow_single_file = True,
            doc = "File with the time of creation, RFC 3339.",
        ),
        "entrypoint": attr.string_list(
            doc = "Command to run. It clears the base's `cmd`.",
        ),
        "env": attr.string_dict(
            doc = "Environment variables, merged over the base's, which keep their order.",
        ),
        "labels": attr.string_dict(
            doc = "Labels of the config, merged over the base's.",
        ),
        "layers": attr.label_list(
            doc = "Layers on top of the base, lowest first.",
        ),
        "platform": attr.label(
            doc = "Platform to build for, whatever `--platforms` says.",
        ),
        "stamp": attr.string(
            default = "auto",
            values = ["auto", "enabled", "disabled"],
            doc = "Whether templates see the workspace status.",
        ),
        "stop_signal": attr.string(
            doc = "Signal that asks a container to stop, such as `SIGTERM`.",
        ),
        "user": attr.string(
            doc = "User and group to run as: `user`, `uid`, `user:group` or `uid:gid`.",
        ),
        "working_dir": attr.string(
            doc = "Working directory of the entrypoint.",
        ),
        "_target_platform": attr.label(default = "//img/private:target_platform", providers = [TargetPlatformInfo]),
    },
    cfg = one_platform,
    provides = [ImageManifestInfo],
    toolchains = ["//img:toolchain_type"],
)
