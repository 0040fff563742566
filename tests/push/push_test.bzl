"""Analysis tests of image_push."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "DeployInfo", "ImageIndexInfo")
load("//tests:testing.bzl", "action", "contains", "names", "runfiles_names")

def _push_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[DeployInfo]
    name = target.label.name
    asserts.equals(env, name + ".plan.json", info.deploy_manifest.basename)
    asserts.equals(env, [info.deploy_manifest], target[OutputGroupInfo].deploy_manifest.to_list())
    asserts.true(env, hasattr(info.image, "index") == (ImageIndexInfo in ctx.attr.image))
    inputs = names(action(env, "ImgPlan").inputs)
    contains(env, "layer.metadata.json", inputs, "inputs of the plan")
    asserts.false(env, "layer.tgz" in inputs, "the layer's blob is an input of the plan")
    runfiles = runfiles_names(target)
    contains(env, name + ".plan.json", runfiles, "runfiles")
    blobs = [f for f in runfiles if f.startswith("tests/push/")]
    asserts.equals(env, sorted(["tests/push/{}.blobs/{}".format(name, n) for n in ctx.attr.names]), sorted(blobs))
    asserts.equals(env, name, target[DefaultInfo].files_to_run.executable.basename)
    return analysistest.end(env)

push_test = analysistest.make(_push_impl, attrs = {"image": attr.label(), "names": attr.string_list()})

def _bases_impl(ctx):
    env = analysistest.begin(ctx)
    records = [json.decode(a) for a in action(env, "ImgPlan").argv if a.startswith("{")]
    asserts.equals(env, ctx.attr.repositories, [r["repository"] for r in records if r.get("type") == "base"])
    return analysistest.end(env)

bases_test = analysistest.make(_bases_impl, attrs = {"repositories": attr.string_list()})

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

def _default_files_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, sorted(ctx.attr.has + [target.label.name]), sorted(names(target[DefaultInfo].files)))
    return analysistest.end(env)

default_files_test = analysistest.make(_default_files_impl, attrs = {"has": attr.string_list()})

def _auth_file_impl(ctx):
    env = analysistest.begin(ctx)
    header = json.decode([a for a in action(env, "ImgPlan").argv if a.startswith("{")][0])
    asserts.equals(env, "/etc/docker/config.json", header["auth_file"])
    return analysistest.end(env)

auth_file_test = analysistest.make(
    _auth_file_impl,
    config_settings = {str(Label("//img/settings:docker_config_path")): "/etc/docker/config.json"},
)
