"""Unit tests of how a platform is matched."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//img/private:platforms.bzl", "choose", "format_platform")

def _p(text):
    parts = text.split("/") + [""]
    return struct(os = parts[0], architecture = parts[1], variant = parts[2])

# What an image has → what is wanted → what is taken. internal/oci/choose_test.go has the same rows for the tool.
_ROWS = [
    (["linux/amd64", "linux/arm64"], "linux/arm64", "linux/arm64"),
    (["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
    (["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"], "linux/amd64/v4", "linux/amd64/v3"),
    (["linux/amd64"], "linux/amd64/v3", "linux/amd64"),
    (["linux/amd64/v2"], "linux/amd64", None),
    (["linux/arm/v6", "linux/arm/v5"], "linux/arm/v7", "linux/arm/v6"),
    (["linux/arm/v7"], "linux/arm/v6", None),
    (["linux/arm64/v8", "linux/arm64/v9"], "linux/arm64/v9.2", "linux/arm64/v9"),
    (["linux/arm64/v8.7", "linux/arm64/v8"], "linux/arm64/v9.1", "linux/arm64/v8"),
    (["windows/amd64"], "linux/amd64", None),
]

def _choose_test_impl(ctx):
    env = unittest.begin(ctx)
    for have, want, taken in _ROWS:
        got = choose([_p(h) for h in have], _p(want))
        asserts.equals(env, taken, format_platform(got) if got else None, "%s out of %s" % (want, have))
    return unittest.end(env)

choose_test = unittest.make(_choose_test_impl)
