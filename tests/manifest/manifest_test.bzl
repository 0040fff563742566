"""Analysis tests of image_manifest."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "ImageManifestInfo", "PullInfo")
load("//img/private:platforms.bzl", "format_platform")
load("//tests:testing.bzl", "action", "contains", "names")

def _platform_impl(ctx):
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[ImageManifestInfo]
    asserts.equals(env, ctx.attr.platform, format_platform(info))
    asserts.equals(env, info.os, info.structured_config["os"])
    asserts.equals(env, ctx.attr.os_version, info.structured_config.get("os.version", ""))
    return analysistest.end(env)

platform_test = analysistest.make(_platform_impl, attrs = {"os_version": attr.string(), "platform": attr.string()})

def _reads_metadata_only_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[ImageManifestInfo]
    inputs = names(action(env, "ImgManifest").inputs)
    for name in ["layer.metadata.json", "config.json", "manifest.json"]:
        contains(env, name, inputs, "inputs")
    asserts.false(env, "layer.tgz" in inputs, "the layer's blob is an input of its manifest")
    asserts.equals(env, ["layer.json", "layer.metadata.json"], [layer.metadata.basename for layer in info.layers], "layers, base first")
    asserts.equals(env, ["00"], info.missing_blobs)
    asserts.equals(env, "registry.example", target[PullInfo].registries[0])
    asserts.equals(env, [info.manifest, info.config], target[DefaultInfo].files.to_list())
    asserts.equals(env, ["image.digest"], names(target[OutputGroupInfo].digest))
    asserts.equals(env, [info.descriptor], target[OutputGroupInfo].descriptor.to_list())
    return analysistest.end(env)

reads_metadata_only_test = analysistest.make(_reads_metadata_only_impl)

def _layers_impl(ctx):
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[ImageManifestInfo]
    asserts.equals(env, ctx.attr.blobs, [layer.blob.basename for layer in info.layers])
    return analysistest.end(env)

layers_test = analysistest.make(_layers_impl, attrs = {"blobs": attr.string_list()})

def _status_inputs_impl(ctx):
    env = analysistest.begin(ctx)
    inputs = names(action(env, "ImgManifest").inputs)
    for name in ["stable-status.txt", "volatile-status.txt"]:
        asserts.equals(env, ctx.attr.status, name in inputs, name)
    return analysistest.end(env)

# With Bazel's --stamp.
status_inputs_test = analysistest.make(
    _status_inputs_impl,
    attrs = {"status": attr.bool(mandatory = True)},
    config_settings = {"//command_line_option:stamp": True},
)
