"""Analysis tests of the conversions from OCI layouts."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "ImageIndexInfo", "ImageManifestInfo")
load("//img/private:platforms.bzl", "format_platform")

def _check(env, manifest, platform, layers):
    asserts.equals(env, platform, format_platform(manifest))
    asserts.equals(env, layers, [layer.blob.basename for layer in manifest.layers])
    asserts.equals(env, [], manifest.missing_blobs)

def _manifest_impl(ctx):
    env = analysistest.begin(ctx)
    _check(env, analysistest.target_under_test(env)[ImageManifestInfo], ctx.attr.platform, ctx.attr.layers)
    return analysistest.end(env)

manifest_test = analysistest.make(
    _manifest_impl,
    attrs = {"layers": attr.string_list(), "platform": attr.string()},
)

def _index_impl(ctx):
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[ImageIndexInfo]
    asserts.equals(env, len(ctx.attr.platforms), len(info.manifests))
    for manifest, platform in zip(info.manifests, ctx.attr.platforms):
        _check(env, manifest, platform, ctx.attr.layers)
    return analysistest.end(env)

index_test = analysistest.make(
    _index_impl,
    attrs = {"layers": attr.string_list(), "platforms": attr.string_list()},
)
