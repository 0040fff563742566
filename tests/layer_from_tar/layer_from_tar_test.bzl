"""Analysis tests of layer_from_tar."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "LayerInfo")
load("//tests:testing.bzl", "action", "names")

def _provides_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[LayerInfo]
    asserts.equals(env, ctx.attr.blob, info.blob.basename)
    asserts.equals(env, ctx.attr.media_type, info.media_type)
    asserts.equals(env, ctx.attr.estargz, info.estargz)
    asserts.equals(env, [info.blob], target[DefaultInfo].files.to_list())
    asserts.equals(env, [info.blob], target[OutputGroupInfo].layer.to_list())
    asserts.equals(env, [info.metadata], target[OutputGroupInfo].metadata.to_list())
    asserts.equals(env, ctx.attr.outputs, names(action(env, "ImgLayerFromTar").outputs))
    asserts.equals(env, ctx.attr.src, info.blob.is_source, "the blob is the source")
    return analysistest.end(env)

_ATTRS = {
    "blob": attr.string(),
    "estargz": attr.bool(),
    "media_type": attr.string(),
    "outputs": attr.string_list(),
    "src": attr.bool(),
}

provides_test = analysistest.make(_provides_impl, attrs = _ATTRS)

# The settings zstd and estargz, against what the attributes say.
provides_under_settings_test = analysistest.make(
    _provides_impl,
    attrs = _ATTRS,
    config_settings = {
        str(Label("//img/settings:compress")): "zstd",
        str(Label("//img/settings:estargz")): "enabled",
    },
)
