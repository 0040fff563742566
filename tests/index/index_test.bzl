"""Analysis tests of image_index."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "ImageIndexInfo")
load("//img/private:platforms.bzl", "format_platform")
load("//tests:testing.bzl", "action", "names")

def _platforms_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[ImageIndexInfo]
    asserts.equals(env, ctx.attr.platforms, [format_platform(m) for m in info.manifests])
    inputs = [f for f in action(env, "ImgIndex").inputs.to_list() if f.basename.endswith(".descriptor.json")]
    asserts.equals(env, [m.descriptor for m in info.manifests], inputs)
    asserts.equals(env, ["%s.digest" % target.label.name], names(target[OutputGroupInfo].digest))
    return analysistest.end(env)

platforms_test = analysistest.make(_platforms_impl, attrs = {"platforms": attr.string_list()})
