"""Analysis tests of image_layer."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "LayerInfo")
load("//tests:testing.bzl", "action", "contains", "names")

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
    asserts.equals(env, [info.blob, info.metadata], action(env, "ImgLayer").outputs.to_list())
    return analysistest.end(env)

_ATTRS = {"blob": attr.string(), "estargz": attr.bool(), "media_type": attr.string()}

provides_test = analysistest.make(_provides_impl, attrs = _ATTRS)

# The setting zstd, against what the attribute says.
provides_under_zstd_test = analysistest.make(
    _provides_impl,
    attrs = _ATTRS,
    config_settings = {str(Label("//img/settings:compress")): "zstd"},
)

# The setting estargz, against what the attribute says.
provides_under_estargz_test = analysistest.make(
    _provides_impl,
    attrs = _ATTRS,
    config_settings = {str(Label("//img/settings:estargz")): "enabled"},
)

def _inputs_impl(ctx):
    env = analysistest.begin(ctx)
    inputs = names(action(env, "ImgLayer").inputs)
    for name in ctx.attr.names:
        contains(env, name, inputs, "inputs")
    for name in ctx.attr.without:
        asserts.false(env, name in inputs, "inputs have %s" % name)
    return analysistest.end(env)

inputs_test = analysistest.make(_inputs_impl, attrs = {"names": attr.string_list(), "without": attr.string_list()})

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "", is_executable = True)
    return [DefaultInfo(executable = out, runfiles = ctx.runfiles(files = ctx.files.data))]

program = rule(
    implementation = _program_impl,
    attrs = {"data": attr.label_list(allow_files = True)},
    executable = True,
)

def _nothing_impl(_ctx):
    return []

nothing = rule(implementation = _nothing_impl)
