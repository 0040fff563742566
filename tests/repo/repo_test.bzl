"""Unit tests of the helpers of repository rules and extensions."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//img/private/repo:facts.bzl", "learned")
load("//img/private/repo:fetch.bzl", "is_digest")

def _learned_test_impl(ctx):
    env = unittest.begin(ctx)
    asked = []

    def find():
        asked.append(1)
        return ["found"]

    for mctx, answer, times in [
        (struct(), ["found"], 1),  # a Bazel without facts
        (struct(facts = {}), ["found"], 1),
        (struct(facts = {"key": ["known"], "stale": []}), ["known"], 0),
    ]:
        asked.clear()
        facts = learned(mctx)
        asserts.equals(env, answer, facts.get("key", find))
        asserts.equals(env, answer, facts.get("key", find), "the second time")
        asserts.equals(env, times, len(asked), "times that a fact was looked for")
        asserts.equals(env, {"key": answer}, facts.all)
    return unittest.end(env)

learned_test = unittest.make(_learned_test_impl)

def _digests_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.true(env, is_digest("sha256:" + "0a" * 32))
    for wrong in ["", "0a" * 32, "sha256:" + "0a" * 31, "sha256:" + "0A" * 32, "sha512:" + "0a" * 64, "sha256:" + "0a" * 31 + "/."]:
        asserts.false(env, is_digest(wrong), wrong)
    return unittest.end(env)

digests_test = unittest.make(_digests_test_impl)
