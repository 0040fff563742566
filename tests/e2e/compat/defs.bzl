"""Rules of a user: programs and trees to make layers of, rules derived from those of rules_img, and one that reads providers."""

load("@rules_img//img:convert.bzl", "image_index_from_oci_layout", "image_manifest_from_oci_layout")
load("@rules_img//img:deploy_tool.bzl", "img_deploy_tool")
load("@rules_img//img:image.bzl", "image_index", "image_manifest")
load("@rules_img//img:image_toolchain.bzl", "DATA_TOOLCHAIN_TYPE", "TOOLCHAIN_TYPE", "image_toolchain")
load("@rules_img//img:layer.bzl", "image_layer", "layer_from_tar")
load("@rules_img//img:load.bzl", "image_load")
load("@rules_img//img:media_types.bzl", "GZIP_LAYER", "UNCOMPRESSED_LAYER", "ZSTD_LAYER")
load("@rules_img//img:multi_deploy.bzl", "multi_deploy")
load("@rules_img//img:providers.bzl", "DeployInfo", "ImageIndexInfo", "ImageManifestInfo", "LayerInfo", "PullInfo")
load("@rules_img//img:push.bzl", "image_push")

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "#!/bin/sh\n", is_executable = True)
    return [DefaultInfo(executable = out, runfiles = ctx.runfiles(files = ctx.files.data))]

program = rule(
    implementation = _program_impl,
    attrs = {"data": attr.label_list(allow_files = True)},
    executable = True,
)

def _tree_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(outputs = [out], command = "mkdir \"$1/sub\" && echo one >\"$1/sub/one\"", arguments = [out.path])
    return [DefaultInfo(files = depset([out]))]

tree = rule(implementation = _tree_impl)

def _renamed_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.file.src)
    return [DefaultInfo(files = depset([out]))]

renamed = rule(
    implementation = _renamed_impl,
    attrs = {"src": attr.label(allow_single_file = True)},
)

# Every rule can be derived from.

def _super_impl(ctx):
    return ctx.super()

def _derived(parent, **attrs):
    return rule(implementation = _super_impl, attrs = attrs, parent = parent)

derived_image_layer = _derived(image_layer)
derived_layer_from_tar = _derived(layer_from_tar)
derived_image_manifest = _derived(image_manifest)
derived_manifest_from_oci_layout = _derived(image_manifest_from_oci_layout)
derived_index_from_oci_layout = _derived(image_index_from_oci_layout)
derived_toolchain = _derived(image_toolchain)
derived_deploy_tool = _derived(img_deploy_tool)

# Bazel 7 derives from a rule with a transition on an attribute only if the new rule has one too.

_NOWHERE = attr.label(cfg = transition(
    implementation = lambda settings, _: settings,
    inputs = ["//command_line_option:platforms"],
    outputs = ["//command_line_option:platforms"],
))

derived_image_index = _derived(image_index, _nowhere = _NOWHERE)
derived_image_push = _derived(image_push, _nowhere = _NOWHERE)
derived_image_load = _derived(image_load, _nowhere = _NOWHERE)
derived_multi_deploy = _derived(multi_deploy, _nowhere = _NOWHERE)

# The toolchain and the providers, as their documentation has them: each field by its type.

def _check(ctx, what, value, types):
    if type(value) not in types:
        fail("{}: {} is {}: want {}".format(ctx.label, what, type(value), " or ".join(types)))

def _check_layer(ctx, layer):
    _check(ctx, "blob", layer.blob, ["File", "NoneType"])
    _check(ctx, "metadata", layer.metadata, ["File"])
    _check(ctx, "media_type", layer.media_type, ["string"])
    _check(ctx, "estargz", layer.estargz, ["bool"])

def _check_manifest(ctx, image):
    for field in ["descriptor", "manifest", "config"]:
        _check(ctx, field, getattr(image, field), ["File"])
    for field in ["architecture", "os", "variant"]:
        _check(ctx, field, getattr(image, field), ["string"])
    _check(ctx, "structured_config", image.structured_config, ["dict"])
    _check(ctx, "missing_blobs", image.missing_blobs, ["list"])
    for layer in image.layers:
        _check_layer(ctx, layer)

def _check_index(ctx, image):
    _check(ctx, "index", image.index, ["File"])
    for manifest in image.manifests:
        _check_manifest(ctx, manifest)

def _check_pull(ctx, pull):
    _check(ctx, "registries", pull.registries, ["list"])
    for field in ["repository", "tag", "digest"]:
        _check(ctx, field, getattr(pull, field), ["string"])

def _check_deploy(ctx, deploy):
    _check(ctx, "deploy_manifest", deploy.deploy_manifest, ["File"])
    _check(ctx, "layer_hints", deploy.layer_hints, ["File", "NoneType"])
    _check(ctx, "image", deploy.image, ["struct", "NoneType"])

_PROVIDERS = [
    (LayerInfo, _check_layer),
    (ImageManifestInfo, _check_manifest),
    (ImageIndexInfo, _check_index),
    (PullInfo, _check_pull),
    (DeployInfo, _check_deploy),
]

def _reads_providers_impl(ctx):
    _check(ctx, "tool_exe", ctx.toolchains[TOOLCHAIN_TYPE].tool_exe, ["File"])
    _check(ctx, "tool_exe", ctx.toolchains[DATA_TOOLCHAIN_TYPE].tool_exe, ["File"])
    for provider, check in _PROVIDERS:
        found = [t[provider] for t in ctx.attr.targets if provider in t]
        if not found:
            fail("{}: no target has {}".format(ctx.label, provider))
        for value in found:
            check(ctx, value)
    groups = {g: True for t in ctx.attr.targets for g in dir(t[OutputGroupInfo]) if OutputGroupInfo in t}
    lacking = [g for g in ["deploy_manifest", "descriptor", "digest", "layer", "metadata", "oci_layout", "oci_tarball", "tarball"] if g not in groups]
    if lacking:
        fail("{}: no target has the output groups {}".format(ctx.label, lacking))
    return []

reads_providers = rule(
    implementation = _reads_providers_impl,
    attrs = {"targets": attr.label_list()},
    toolchains = [TOOLCHAIN_TYPE, DATA_TOOLCHAIN_TYPE],
)

MEDIA_TYPES = {"gzip": GZIP_LAYER, "none": UNCOMPRESSED_LAYER, "zstd": ZSTD_LAYER}
