"""Options of Bazel itself, as rules can ask for them."""

visibility("//img/private")

BazelFlagInfo = provider(
    doc = "Whether an option of Bazel has a value.",
    fields = {"enabled": "(bool) whether it has"},
)

def _bazel_flag_impl(ctx):
    return [BazelFlagInfo(enabled = ctx.attr.enabled)]

_bazel_flag = rule(
    implementation = _bazel_flag_impl,
    doc = "Carries what select() found of an option.",
    attrs = {"enabled": attr.bool(mandatory = True)},
)

def bazel_flag(name, values, **kwargs):
    """Declares a target with BazelFlagInfo.

    Args:
      name: (str) name of the target.
      values: (dict) option → value, as config_setting takes them.
      **kwargs: passed on, such as visibility.
    """
    native.config_setting(name = name + "_on", values = values)
    _bazel_flag(
        name = name,
        enabled = select({
            ":" + name + "_on": True,
            "//conditions:default": False,
        }),
        **kwargs
    )
