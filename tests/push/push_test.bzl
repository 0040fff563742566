"""Analysis tests of image_push."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "DeployInfo", "ImageIndexInfo")
load("//tests:testing.bzl", "action", "contains", "names", "runfiles_names")

def _push_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[DeployInfo]
    asserts.equals(env, "push.plan.json", info.deploy_manifest.basename)
    asserts.equals(env, [info.deploy_manifest], target[OutputGroupInfo].deploy_manifest.to_list())
    asserts.true(env, hasattr(info.image, "index") == (ImageIndexInfo in ctx.attr.image))
    inputs = names(action(env, "ImgPlan").inputs)
    contains(env, "layer.metadata.json", inputs, "inputs of the plan")
    asserts.false(env, "layer.tgz" in inputs, "the layer's blob is an input of the plan")
    runfiles = runfiles_names(target)
    for name in ["tests/push/push.blobs/layer-0-layer.tgz", "tests/push/push.blobs/0-image.manifest.json", "tests/push/push.blobs/1-image.config.json", "push.plan.json"]:
        contains(env, name, runfiles, "runfiles")
    asserts.equals(env, "push", target[DefaultInfo].files_to_run.executable.basename)
    return analysistest.end(env)

push_test = analysistest.make(_push_impl, attrs = {"image": attr.label()})

def _lazy_push_impl(ctx):
    env = analysistest.begin(ctx)
    runfiles = runfiles_names(analysistest.target_under_test(env))
    for name in ctx.attr.has:
        contains(env, name, runfiles, "runfiles")
    for name in ctx.attr.has_not:
        asserts.false(env, name in runfiles, name + " is among the runfiles")
    return analysistest.end(env)

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, "//tests/push:lazy: the setting remote_cache has a user or a password")
    return analysistest.end(env)

password_in_setting_test = analysistest.make(
    _fails_impl,
    config_settings = {str(Label("//img/settings:remote_cache")): "grpcs://user:password@cache.example.com"},
    expect_failure = True,
)

lazy_push_test = analysistest.make(_lazy_push_impl, attrs = {"has": attr.string_list(), "has_not": attr.string_list()})
