"""Analysis tests of image_load."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "DeployInfo")
load("//tests:testing.bzl", "action", "contains", "runfiles_names")

def _load_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    plan = target[DeployInfo].deploy_manifest
    asserts.equals(env, [plan], target[OutputGroupInfo].deploy_manifest.to_list())
    header = json.decode([a for a in action(env, "ImgPlan").argv if a.startswith("{")][0])
    asserts.equals(env, "load", header["operation"])
    asserts.equals(env, ctx.attr.daemon, header["daemon"])
    runfiles = runfiles_names(target)
    for name in ["layer-0-layer.tgz", "0-image.manifest.json", "1-image.config.json"]:
        contains(env, "tests/load/%s.blobs/%s" % (target.label.name, name), runfiles, "runfiles")
    contains(env, plan.basename, runfiles, "runfiles")
    return analysistest.end(env)

load_test = analysistest.make(_load_impl, attrs = {"daemon": attr.string(mandatory = True)})
