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
