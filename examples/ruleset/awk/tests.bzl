"""What this ruleset promises, as analysis tests."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_img//img:providers.bzl", "LayerInfo")
load("//awk:layer.bzl", "AwkLayerInfo")

def _layer_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, "/app/main", target[AwkLayerInfo].program)
    asserts.equals(env, [target[LayerInfo].blob], target[OutputGroupInfo].layer.to_list())
    asserts.equals(env, ["ImgLayer"], [action.mnemonic for action in analysistest.target_actions(env)])
    return analysistest.end(env)

layer_test = analysistest.make(_layer_test_impl)

def _parts_test_impl(ctx):
    env = analysistest.begin(ctx)
    groups = analysistest.target_under_test(env)[OutputGroupInfo]
    layers, metadata = groups.layers.to_list(), groups.metadata.to_list()
    asserts.true(env, len(layers) > 2)
    asserts.equals(env, len(layers), len(metadata))
    return analysistest.end(env)

parts_test = analysistest.make(_parts_test_impl)
