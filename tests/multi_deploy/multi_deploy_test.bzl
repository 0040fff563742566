"""Analysis tests of multi_deploy."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "DeployInfo")
load("//tests:testing.bzl", "action", "contains", "names", "runfiles_names")

def _multi_deploy_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    inputs = names(action(env, "ImgPlan").inputs)
    for plan in ctx.attr.plans:
        contains(env, plan, inputs, "inputs")
    asserts.equals(env, "deploy.plan.json", target[DeployInfo].deploy_manifest.basename)
    runfiles = runfiles_names(target)
    for name in ["tests/multi_deploy/push.blobs/layer-0-layer.tgz", "tests/multi_deploy/push.blobs/0-image.manifest.json", "tests/multi_deploy/push.blobs/1-image.config.json", "deploy.plan.json", "tests/multi_deploy/load.blobs/layer-0-layer.tgz"]:
        contains(env, name, runfiles, "runfiles")
    return analysistest.end(env)

multi_deploy_test = analysistest.make(_multi_deploy_impl, attrs = {"plans": attr.string_list()})

def _lazy_pushes_impl(ctx):
    env = analysistest.begin(ctx)
    runfiles = runfiles_names(analysistest.target_under_test(env))
    asserts.false(env, "tests/multi_deploy/push.blobs/layer-0-layer.tgz" in runfiles, "the layer of a push is among the runfiles")
    contains(env, "tests/multi_deploy/push.blobs/0-image.manifest.json", runfiles, "runfiles")
    contains(env, "tests/multi_deploy/load.blobs/layer-0-layer.tgz", runfiles, "runfiles")
    return analysistest.end(env)

lazy_pushes_test = analysistest.make(_lazy_pushes_impl)

def _default_files_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    plan = [target.label.name + ".plan.json", "image.manifest.json", "image.config.json"] if ctx.attr.plan else []
    asserts.equals(env, sorted([target.label.name] + plan), sorted(names(target[DefaultInfo].files)))
    return analysistest.end(env)

default_files_test = analysistest.make(_default_files_impl, attrs = {"plan": attr.bool()})
