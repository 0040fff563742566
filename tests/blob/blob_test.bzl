"""Analysis tests of what repository rules lay out: imported images, and blobs that a build pulls."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "ImageManifestInfo", "PullInfo")
load("//tests:testing.bzl", "action", "names", _fails_test = "fails_test")

fails_test = _fails_test

def _a_blob_is_pulled_here_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    made = action(env, "ImgBlob")
    asserts.equals(env, names(made.outputs), names(target[DefaultInfo].files))
    asserts.equals(env, 1, len([n for n in names(made.inputs) if n in ["img", "img.exe"]]), "tools among the inputs")
    return analysistest.end(env)

a_blob_is_pulled_here_test = analysistest.make(_a_blob_is_pulled_here_impl)

def _an_imported_image_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[ImageManifestInfo]
    asserts.equals(env, ["lazy.blob"], names(target[OutputGroupInfo].layers))
    asserts.equals(env, ["lazy.blob", None], [layer.blob.basename if layer.blob else None for layer in info.layers], "layers, lowest first")
    asserts.equals(env, ["layer.json", "index.json"], [layer.metadata.basename for layer in info.layers])
    asserts.equals(env, ["02"], info.missing_blobs)
    asserts.equals(env, "10.0.1", info.structured_config["os.version"])
    asserts.equals(env, "", info.structured_config["variant"])
    asserts.equals(env, None, target[PullInfo].tag)
    return analysistest.end(env)

an_imported_image_test = analysistest.make(_an_imported_image_impl)
