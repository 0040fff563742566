"""Unit tests of how labels are written."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//img/private:label.bzl", "written")

# Canonical name of a repository → how it is written: of Bazel 7, of newer ones, and of a WORKSPACE.
_ROWS = {
    "": "",
    "_main~_repo_rules~debian": "@debian",
    "rules_img": "@rules_img",
    "rules_img+": "@rules_img",
    "rules_img++images+rules_img_lazy_layer_0a": "@rules_img_lazy_layer_0a",
    "rules_img~": "@rules_img",
    "rules_img~0.4.0": "@rules_img",
    "rules_img~~images~rules_img_lazy_layer_0a": "@rules_img_lazy_layer_0a",
}

def _written_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, "//tests/label:written_test", written(ctx.label))
    for canonical, repository in _ROWS.items():
        label = struct(repo_name = canonical, package = "a/b", name = "c")
        asserts.equals(env, repository + "//a/b:c", written(label), canonical)
    return unittest.end(env)

written_test = unittest.make(_written_test_impl)
